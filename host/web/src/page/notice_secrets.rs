//! Tests of recipients, and their secrets.

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_host::types::FieldError;
use relation_notify::settings::{ChannelKind, Recipient, SnmpVersion};
use secrecy::SecretString;

use super::deliveries::ResultPage;
use super::form::{self, Control, FormField, Posted};
use super::notice_form::Section;
use super::notice_recipients::{RecipientQuery, Target, build_form, confirm_removal};
use super::notices::{FormPage, show_secrets};
use super::parts::clean;
use super::query::Filtered;
use super::shared::{ConfirmPage, is_confirmed};
use super::ui::{Ui, render, render_with};
use crate::access::notice_settings::{self, SnmpCredentials, TestReport};
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

type Read = Allowed<permission::Read>;
type Change = Allowed<permission::Notices>;

/// Builds the page with the result of a test.
pub(crate) fn build_report<'a>(ui: &'a Ui, target: &Target, report: &TestReport) -> ResultPage<'a> {
    let (tone, text) = match (report.sent, report.confirmed) {
        (true, true) => ("good", "recipient.test-confirmed"),
        (true, false) => ("warn", "recipient.test-sent"),
        (false, _) => ("bad", "recipient.test-failed"),
    };
    ResultPage {
        title: ui.t1("recipient.test-title", target.name()),
        tone,
        text: ui.t(text),
        reply: Some(clean(&report.reply)).filter(|reply| !reply.is_empty()),
        next: (!report.sent).then(|| ui.t("recipient.test-next")),
        back: target.back(),
        back_text: ui.t("access.done"),
        ui,
    }
}

/// Sends a test to a recipient, and shows the receiver's reply.
pub(crate) async fn test(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
) -> Result<Response, WebError> {
    let target = Target::find(&web, &ui, (&read, &change), &query).await?;
    let notices = web.options().notices.as_ref();
    let notices = notices.ok_or_else(WebError::not_found)?;
    let authority = ui.authority(&change);
    let node = &target.own.hierarchy;
    let report = notice_settings::send_test(web.access(), &authority, notices, node, &query.id);
    let report = report.await?;
    render(&build_report(&ui, &target, &report))
}

/// Enables an endpoint that was disabled after failures.
pub(crate) async fn enable(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
) -> Result<Response, WebError> {
    let target = Target::find(&web, &ui, (&read, &change), &query).await?;
    let authority = ui.authority(&change);
    let node = &target.own.hierarchy;
    notice_settings::enable(web.access(), &authority, node, &query.id).await?;
    Ok(Redirect::to(&target.back()).into_response())
}

/// Builds the page that asks whether to rotate the secret of a webhook.
pub(crate) fn confirm_rotation<'a>(ui: &'a Ui, target: &Target) -> ConfirmPage<'a> {
    ConfirmPage {
        title: ui.t1("recipient.rotate-title", target.name()),
        text: ui.t("recipient.rotate-text"),
        is_final: false,
        action: target.address("/rotate"),
        button: ui.t("recipient.rotate"),
        ..confirm_removal(ui, target)
    }
}

/// Asks whether to rotate the secret of a webhook, or rotates it and shows the new one.
pub(crate) async fn rotate(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let target = Target::find(&web, &ui, (&read, &change), &query).await?;
    let channel = target.recipient().map(Recipient::channel);
    if channel != Some(ChannelKind::Webhook) {
        return Err(WebError::not_found());
    }
    if !is_confirmed(&Posted(pairs)) {
        return render(&confirm_rotation(&ui, &target));
    }
    let authority = ui.authority(&change);
    let node = &target.own.hierarchy;
    let secret = notice_settings::rotate_secret(web.access(), &authority, node, &query.id).await?;
    show_secrets(&ui, node, &[secret])
}

fn password_field(ui: &Ui, name: &str, label: &str, help: &str) -> FormField {
    let mut field = FormField::new(name, ui.t(label), ui.t(help));
    field.control = Control::Input("password");
    field.secret = true;
    field.required = true;
    field.autocomplete = "new-password";
    field
}

/// Builds the form of the credentials of an SNMP target; `None` for another recipient.
pub(crate) fn build_credentials<'a>(
    ui: &'a Ui,
    target: &Target,
    engine: Option<String>,
    errors: &[FieldError],
) -> Option<FormPage<'a>> {
    let Some(Recipient::Snmp(receiver)) = target.recipient() else {
        return None;
    };
    let mut fields = match receiver.version {
        SnmpVersion::V2c => vec![password_field(
            ui,
            "community",
            "recipient.community",
            "recipient.community-help",
        )],
        SnmpVersion::V3 { .. } => {
            let password = |name: &str, label: &str| {
                password_field(ui, name, label, "recipient.password-help")
            };
            vec![
                password("auth_password", "recipient.auth-password"),
                password("privacy_password", "recipient.privacy-password"),
            ]
        }
    };
    if let (Some(engine), SnmpVersion::V3 { .. }) = (engine, &receiver.version) {
        let help = ui.t("recipient.engine-help");
        let mut field = FormField::new("engine", ui.t("recipient.engine"), help);
        field.control = Control::Fixed;
        field.value = engine;
        fields.push(field);
    }
    form::set_errors(&mut fields, errors);
    Some(FormPage {
        title: ui.t1("recipient.credentials-title", target.name()),
        help: Some(ui.t("recipient.credentials-help")),
        action: target.address("/credentials"),
        summary: form::summarize(&fields, errors),
        sections: vec![Section {
            title: String::new(),
            fields,
        }],
        ..build_form(ui, target, ChannelKind::Snmp, None, &[])
    })
}

/// Returns the id of this host as a sender, which receivers of version 3 need.
async fn find_engine(web: &Web) -> Option<String> {
    let notices = web.options().notices.as_ref()?;
    // The form is of use without it.
    notices.find_engine_id().await.ok().flatten()
}

/// Shows the form of the credentials of an SNMP target.
pub(crate) async fn show_credentials(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
) -> Result<Response, WebError> {
    let target = Target::find(&web, &ui, (&read, &change), &query).await?;
    let engine = find_engine(&web).await;
    let page = build_credentials(&ui, &target, engine, &[]);
    render(&page.ok_or_else(WebError::not_found)?)
}

/// Sets the credentials of an SNMP target.
pub(crate) async fn set_credentials(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let target = Target::find(&web, &ui, (&read, &change), &query).await?;
    let posted = Posted(pairs);
    let secret = |name: &str| SecretString::from(posted.get(name).unwrap_or_default());
    let credentials = match target.recipient() {
        Some(Recipient::Snmp(receiver)) => match receiver.version {
            SnmpVersion::V2c => SnmpCredentials::Community(secret("community")),
            SnmpVersion::V3 { .. } => SnmpCredentials::User {
                auth_password: secret("auth_password"),
                privacy_password: secret("privacy_password"),
            },
        },
        _ => return Err(WebError::not_found()),
    };
    let authority = ui.authority(&change);
    let node = &target.own.hierarchy;
    let set =
        notice_settings::set_snmp_secrets(web.access(), &authority, node, &query.id, credentials);
    match set.await {
        Ok(()) => Ok(Redirect::to(&target.back()).into_response()),
        Err(error) if error.error.field_errors.is_empty() => Err(error),
        Err(error) => {
            let engine = find_engine(&web).await;
            let errors = &error.error.field_errors;
            let page = build_credentials(&ui, &target, engine, errors);
            render_with(error.status, &page.ok_or_else(WebError::not_found)?)
        }
    }
}
