//! The recipients of a node: the form, and removal.

use axum::Form;
use axum::extract::State;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::notices::recipient_id;
use relation_host::types::FieldError;
use relation_notify::settings::{ChannelKind, Recipient, parse};
use serde_json::{Value, json};

use super::calls::Failed;
use super::form::{self, Posted};
use super::links;
use super::notice_form::Section;
use super::notice_recipient_form::{build_fields, read};
use super::notice_words::describe_recipient;
use super::notices::{FormPage, address, find_own, find_rules, show_secrets, to_json};
use super::parts::clean;
use super::query::{self, Filtered, Filters};
use super::shared::{ConfirmPage, is_confirmed};
use super::ui::{Ui, render, render_with};
use crate::access::notice_settings::{self, NodeSettings};
use crate::access::users::invalid;
use crate::access::{Allowed, permission};
use crate::{Web, WebError};

type Read = Allowed<permission::Read>;
type Change = Allowed<permission::Notices>;

/// The query of the pages of a recipient: the node, and the recipient or the channel of a new one.
#[derive(Debug, Default)]
pub(crate) struct RecipientQuery {
    hierarchy: String,
    pub(crate) id: String,
    channel: String,
}

impl Filters for RecipientQuery {
    fn take(query: &mut query::ListQuery) -> Self {
        Self {
            hierarchy: query.filled("hierarchy"),
            id: query.filled("id"),
            channel: query.word("type", ChannelKind::ALL.map(ChannelKind::as_str)),
        }
    }
}

/// The recipients of a node, and the one that a page is about.
pub(crate) struct Target {
    pub(crate) own: NodeSettings,
    recipients: Vec<Recipient>,
    /// The position of the recipient; `None`: a new one.
    position: Option<usize>,
}

impl Target {
    pub(crate) fn new(own: NodeSettings, id: &str) -> Self {
        let recipients = own.settings.recipients.value();
        let recipients = recipients.map_or_else(Vec::new, |list| list.values.clone());
        let mut ids = recipients.iter().map(recipient_id);
        Self {
            position: ids.position(|each| each == id),
            recipients,
            own,
        }
    }

    /// Reads a recipient of a node whose settings may be changed.
    ///
    /// # Errors
    /// 404 if the node has no such recipient.
    pub(crate) async fn find(
        web: &Web,
        ui: &Ui,
        allowed: (&Read, &Change),
        query: &RecipientQuery,
    ) -> Result<Self, WebError> {
        let target = Self::find_or_new(web, ui, allowed, query).await?;
        match target.position {
            Some(_) => Ok(target),
            None => Err(WebError::not_found()),
        }
    }

    /// Reads a recipient of a node whose settings may be changed, or begins a new one.
    ///
    /// # Errors
    /// 404 if the query names a recipient other than those of the node, or neither a recipient nor a channel.
    async fn find_or_new(
        web: &Web,
        ui: &Ui,
        allowed: (&Read, &Change),
        query: &RecipientQuery,
    ) -> Result<Self, WebError> {
        let own = find_own(web, ui, allowed, &query.hierarchy).await?;
        let target = Self::new(own, &query.id);
        let is_new = query.id.is_empty() && !query.channel.is_empty();
        match is_new || target.position.is_some() {
            true => Ok(target),
            false => Err(WebError::not_found()),
        }
    }

    pub(crate) fn recipient(&self) -> Option<&Recipient> {
        self.recipients.get(self.position?)
    }

    pub(crate) fn name(&self) -> String {
        let recipient = self.recipient();
        recipient.map_or_else(String::new, |recipient| describe_recipient(recipient).0)
    }

    pub(crate) fn back(&self) -> String {
        address("/notices", &self.own.hierarchy)
    }

    /// Returns the address of a page of this recipient.
    pub(crate) fn address(&self, suffix: &str) -> String {
        let id = self.recipient().map(recipient_id);
        let query = [
            ("hierarchy", self.own.hierarchy.as_str()),
            ("id", id.unwrap_or_default()),
        ];
        links::with_query(&format!("/notices/recipient{suffix}"), &query)
    }

    /// Returns the settings with other recipients. A level that has inherited them so far adds to them.
    fn with_recipients(&self, values: Vec<Value>) -> Result<Value, WebError> {
        let mut settings = to_json(&self.own.settings)?;
        let list = self.own.settings.recipients.value();
        let mode = match list {
            Some(list) => serde_json::to_value(list.mode).unwrap_or_default(),
            None => "add-to-inherited".into(),
        };
        if let Some(recipients) = settings.get_mut("recipients") {
            *recipients = match values.is_empty() && mode == "add-to-inherited" {
                true => "inherit".into(),
                false => json!({ "mode": mode, "values": values }),
            };
        }
        Ok(settings)
    }

    fn to_values(&self) -> Vec<Value> {
        let values = self.recipients.iter();
        values
            .map(|recipient| serde_json::to_value(recipient).unwrap_or_default())
            .collect()
    }
}

/// Builds the form of a recipient.
pub(crate) fn build_form<'a>(
    ui: &'a Ui,
    target: &Target,
    channel: ChannelKind,
    posted: Option<&Posted>,
    errors: &[FieldError],
) -> FormPage<'a> {
    let recipient = target.recipient();
    let mut fields = build_fields(ui, channel, recipient, posted);
    form::set_errors(&mut fields, errors);
    let (title, action) = match recipient {
        Some(_) => (
            ui.t1("recipient.edit-title", target.name()),
            target.address(""),
        ),
        None => {
            let query = [
                ("hierarchy", target.own.hierarchy.as_str()),
                ("type", channel.as_str()),
            ];
            let title = ui.t(&format!("recipient.add-{}", channel.as_str()));
            (title, links::with_query("/notices/recipient", &query))
        }
    };
    let adds = target.own.settings.recipients.value().is_none();
    FormPage {
        title,
        help: adds.then(|| ui.t("recipient.added-help")),
        node: clean(target.own.hierarchy.as_str()),
        back: target.back(),
        action,
        version: target.own.version.to_string(),
        summary: form::summarize(&fields, errors),
        sections: vec![Section {
            title: String::new(),
            fields,
        }],
        failure: None,
        ui,
    }
}

fn find_channel(target: &Target, query: &RecipientQuery) -> ChannelKind {
    let named = ChannelKind::ALL.into_iter();
    let mut named = named.filter(|channel| channel.as_str() == query.channel);
    match target.recipient() {
        Some(recipient) => recipient.channel(),
        None => named.next().unwrap_or(ChannelKind::Mail),
    }
}

/// Shows the form of a recipient.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
) -> Result<Response, WebError> {
    let target = Target::find_or_new(&web, &ui, (&read, &change), &query).await?;
    let channel = find_channel(&target, &query);
    render(&build_form(&ui, &target, channel, None, &[]))
}

/// Names the fields of the form in errors about settings.
fn place_errors(errors: Vec<FieldError>, position: usize, first: &str) -> Vec<FieldError> {
    let own = format!("recipients.{position}");
    let place = |error: FieldError| {
        let field = match error.field.strip_prefix(&own) {
            Some("") => first.to_owned(),
            Some(".id") => first.to_owned(),
            Some(rest) if rest.starts_with('.') => rest.trim_start_matches('.').to_owned(),
            _ => error.field,
        };
        FieldError {
            field,
            message: error.message,
        }
    };
    errors.into_iter().map(place).collect()
}

/// Adds or changes a recipient. The secret of a new webhook is shown, once.
pub(crate) async fn save(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let target = Target::find_or_new(&web, &ui, (&read, &change), &query).await?;
    let channel = find_channel(&target, &query);
    let posted = Posted(pairs);
    let mut errors = Vec::new();
    let value = self::read(&ui, channel, target.recipient(), &posted, &mut errors);
    let mut values = target.to_values();
    let position = target.position.unwrap_or(values.len());
    match values.get_mut(position) {
        Some(present) => *present = value,
        None => values.push(value),
    }
    let settings = target.with_recipients(values)?;
    let rules = find_rules(&web);
    let node = &target.own.hierarchy;
    let saved = match errors.is_empty() {
        true => {
            let authority = ui.authority(&change);
            let version = Some(target.own.version);
            notice_settings::save(web.access(), &authority, rules, node, &settings, version).await
        }
        false => {
            errors.extend(parse(&settings, rules).err().unwrap_or_default());
            Err(invalid(errors))
        }
    };
    match saved {
        Ok(saved) if !saved.new_secrets.is_empty() => show_secrets(&ui, node, &saved.new_secrets),
        Ok(saved) => {
            let recipients = saved.node.settings.recipients.value();
            let added = recipients.and_then(|list| list.values.get(position));
            let id = added.map(|recipient| recipient_id(recipient).to_owned());
            let target = Target::new(saved.node, &id.unwrap_or_default());
            // Without credentials, the target receives no notices.
            let state = target.recipient().map(recipient_id);
            let state = state.and_then(|id| target.own.secrets.get(id));
            let is_open = channel == ChannelKind::Snmp && state.is_none_or(|state| !state.set);
            Ok(Redirect::to(&match is_open {
                true => target.address("/credentials"),
                false => target.back(),
            })
            .into_response())
        }
        Err(error) => {
            let first = match channel {
                ChannelKind::Webhook => "url",
                ChannelKind::Mail | ChannelKind::Snmp => "address",
            };
            let failure = error.error.field_errors.is_empty();
            let failure = failure.then(|| Failed::new(&error, &ui));
            let errors = place_errors(error.error.field_errors, position, first);
            let page = build_form(&ui, &target, channel, Some(&posted), &errors);
            render_with(error.status, &FormPage { failure, ..page })
        }
    }
}

/// Builds the page that asks whether to remove a recipient.
pub(crate) fn confirm_removal<'a>(ui: &'a Ui, target: &Target) -> ConfirmPage<'a> {
    ConfirmPage {
        title: ui.t1("recipient.remove-title", target.name()),
        text: ui.t("recipient.remove-text"),
        is_final: true,
        node: clean(target.own.hierarchy.as_str()),
        action: target.address("/remove"),
        button: ui.t("recipient.remove-confirm"),
        back: target.back(),
        fields: Vec::new(),
        summary: Vec::new(),
        failure: None,
        ui,
    }
}

/// Asks whether to remove a recipient, or removes it.
pub(crate) async fn remove(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<RecipientQuery>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let target = Target::find(&web, &ui, (&read, &change), &query).await?;
    if !is_confirmed(&Posted(pairs)) {
        return render(&confirm_removal(&ui, &target));
    }
    let values = target.to_values().into_iter().enumerate();
    let values = values.filter(|(position, _)| Some(*position) != target.position);
    let settings = target.with_recipients(values.map(|(_, value)| value).collect())?;
    let authority = ui.authority(&change);
    let (rules, node) = (find_rules(&web), &target.own.hierarchy);
    let version = Some(target.own.version);
    notice_settings::save(web.access(), &authority, rules, node, &settings, version).await?;
    Ok(Redirect::to(&target.back()).into_response())
}
