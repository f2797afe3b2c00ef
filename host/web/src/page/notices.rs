//! The notice settings of a node: what applies, where it comes from, and the form.

use std::collections::BTreeMap;

use askama::Template;
use axum::Form;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Redirect, Response};
use relation_app::AppError;
use relation_app::notices::{read_level, recipient_id};
use relation_host::types::{FieldError, Hierarchy};
use relation_notify::health::{DisabledReason, EndpointHealth};
use relation_notify::settings::{
    Level, ListMode, NoticeSettings, ResolvedFields, ResolvedRecipient, Rules, VisibleSettings,
    load_levels, parse, resolve,
};
use secrecy::ExposeSecret as _;

use super::calls::Failed;
use super::form::{self, Posted};
use super::links;
use super::notice_form::{self, Section};
use super::notice_words::{
    FieldWords, channel_word, describe_fields, describe_recipient, to_timestamp,
};
use super::organizations::choose_node;
use super::parts::{Badge, clean, format_utc};
use super::query::Filtered;
use super::shared::{ConfirmPage, ListQuery, PAGE_SIZE, SecretPage, is_confirmed};
use super::ui::{Ui, render, render_with};
use crate::access::notice_settings::{
    self, NewSecret, NodeSettings, SecretState, find_reader_node,
};
use crate::access::users::invalid;
use crate::access::{Allowed, Operation, permission};
use crate::{Web, WebError};

type Read = Allowed<permission::Read>;
type Change = Allowed<permission::Notices>;

/// The hidden input with the version of the settings when the form was opened.
const VERSION: &str = "settings-version";

/// Returns the address of a page about the notices of a node.
pub(crate) fn address(path: &str, node: &Hierarchy) -> String {
    links::with_query(path, &[("hierarchy", node.as_str())])
}

/// Returns the operator's rules for settings.
pub(crate) fn find_rules(web: &Web) -> Rules {
    let notices = web.options().notices.as_ref();
    notices.map(|notices| notices.rules()).unwrap_or_default()
}

/// The state of a recipient's secret, in words.
pub(crate) struct SecretWords {
    badge: Badge,
    details: Option<String>,
}

impl SecretWords {
    fn new(state: SecretState, ui: &Ui) -> Self {
        let overlap = state
            .overlap_end
            .map(|end| format!("{} UTC", format_utc(end)));
        match state.set {
            true => Self {
                badge: Badge::new("good", ui.t("recipient.set")),
                details: overlap.map(|end| ui.t1("recipient.overlap", end)),
            },
            false => Self {
                badge: Badge::new("warn", ui.t("recipient.not-set")),
                details: Some(ui.t("recipient.not-set-help")),
            },
        }
    }
}

/// The health of an endpoint whose latest attempts failed, in words.
pub(crate) struct HealthWords {
    badge: Badge,
    details: String,
}

impl HealthWords {
    /// Returns `None` for an endpoint that works.
    fn new(health: &EndpointHealth, ui: &Ui) -> Option<Self> {
        if let Some(reason) = health.disabled() {
            let details = match reason {
                DisabledReason::Failures => "recipient.disabled-failures",
                DisabledReason::Gone => "recipient.disabled-gone",
            };
            return Some(Self {
                badge: Badge::new("bad", ui.t("recipient.disabled")),
                details: ui.t(details),
            });
        }
        let since = format_utc(to_timestamp(health.failing_since()?));
        Some(Self {
            badge: Badge::new("warn", ui.t("recipient.failing")),
            details: ui.t1("recipient.failing-since", format!("{since} UTC")),
        })
    }
}

/// The addresses of what can be done with a recipient.
pub(crate) struct RecipientActions {
    edit: String,
    remove: String,
    test: Option<String>,
    rotate: Option<String>,
    credentials: Option<String>,
    enable: Option<String>,
}

impl RecipientActions {
    fn new(recipient: &ResolvedRecipient, may_test: bool, is_disabled: bool) -> Self {
        use relation_notify::settings::ChannelKind;
        let node = recipient.origin.as_str();
        let id = recipient_id(&recipient.recipient);
        let channel = recipient.recipient.channel();
        let address = |suffix: &str| {
            let path = format!("/notices/recipient{suffix}");
            links::with_query(&path, &[("hierarchy", node), ("id", id)])
        };
        Self {
            edit: address(""),
            remove: address("/remove"),
            test: may_test.then(|| address("/test")),
            rotate: (channel == ChannelKind::Webhook).then(|| address("/rotate")),
            credentials: (channel == ChannelKind::Snmp).then(|| address("/credentials")),
            enable: is_disabled.then(|| address("/enable")),
        }
    }
}

/// A recipient in the list of a node.
pub(crate) struct RecipientRow {
    name: String,
    place: String,
    channel: String,
    /// The level that names the recipient and its page, if it is another one.
    level: Option<(String, String)>,
    secret: Option<SecretWords>,
    health: Option<HealthWords>,
    actions: Option<RecipientActions>,
}

/// The page of a node's settings.
#[derive(Template)]
#[template(path = "notices.html")]
pub(crate) struct NoticesPage<'a> {
    ui: &'a Ui,
    title: String,
    node: String,
    fields: Vec<FieldWords>,
    recipients: Vec<RecipientRow>,
    /// Whether levels above are told.
    mode: String,
    /// Whether notices are off.
    is_off: bool,
    may_change: bool,
    has_settings: bool,
    edit: String,
    remove: String,
    /// The addresses that add a recipient, each with its text.
    add: Vec<(String, String)>,
    /// Other levels with settings: name and address.
    levels: Vec<(String, String)>,
    next: Option<String>,
}

/// Builds the page of a node's settings.
pub(crate) fn build<'a>(
    ui: &'a Ui,
    own: &NodeSettings,
    visible: &VisibleSettings,
    may_test: bool,
) -> NoticesPage<'a> {
    let node = &own.hierarchy;
    let may_change = ui.may(Operation::Notices, node);
    let recipients = visible.recipients.iter().map(|each| {
        let (name, place) = describe_recipient(&each.recipient);
        let is_own = each.origin == *node;
        let state = own.secrets.get(recipient_id(&each.recipient));
        let health = own.health.get(recipient_id(&each.recipient));
        let health = health.filter(|_| is_own);
        let is_disabled = health.is_some_and(|health| health.disabled().is_some());
        let level = || {
            (
                clean(each.origin.as_str()),
                address("/notices", &each.origin),
            )
        };
        RecipientRow {
            name,
            place,
            channel: channel_word(each.recipient.channel(), ui),
            level: (!is_own).then(level),
            secret: state
                .filter(|_| is_own)
                .map(|state| SecretWords::new(*state, ui)),
            health: health.and_then(|health| HealthWords::new(health, ui)),
            actions: (is_own && may_change)
                .then(|| RecipientActions::new(each, may_test, is_disabled)),
        }
    });
    let mode = own.settings.recipients.value().map(|list| list.mode);
    let mut named = visible.recipients.iter();
    let has_foreign = named.any(|each| each.origin != *node);
    let mode = match (mode, visible.told_above) {
        (Some(ListMode::Replace), _) => "notices.recipients-replace",
        (_, true) => "notices.told-above",
        (_, false) if has_foreign => "notices.recipients-add",
        (_, false) => "notices.not-told-above",
    };
    let add = ["mail", "webhook", "snmp"].map(|channel| {
        let query = [("hierarchy", node.as_str()), ("type", channel)];
        let text = ui.t(&format!("recipient.add-{channel}"));
        (links::with_query("/notices/recipient", &query), text)
    });
    NoticesPage {
        title: ui.t("notices.title"),
        fields: describe_fields(&visible.fields, node, ui),
        recipients: recipients.collect(),
        mode: ui.t(mode),
        is_off: !visible.fields.notify.value,
        may_change,
        has_settings: own.version > 0,
        edit: address("/notices/edit", node),
        remove: address("/notices/remove", node),
        add: add.into(),
        levels: Vec::new(),
        next: None,
        node: clean(node.as_str()),
        ui,
    }
}

impl NoticesPage<'_> {
    /// Adds the other levels with settings.
    pub(crate) fn with_levels(mut self, levels: &[NodeSettings], next: Option<String>) -> Self {
        let names = levels.iter().map(|level| &level.hierarchy);
        let others = names.filter(|name| clean(name.as_str()) != self.node);
        self.levels = others
            .map(|name| (clean(name.as_str()), address("/notices", name)))
            .collect();
        self.next = next;
        self
    }
}

/// Shows the settings of a node.
pub(crate) async fn show(
    State(web): State<Web>,
    ui: Ui,
    allowed: Read,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let (node, _) = choose_node(&web, &allowed, &query.hierarchy).await?;
    let authority = ui.authority(&allowed);
    let own = notice_settings::find(web.access(), &authority, &node).await?;
    let visible = notice_settings::resolve(web.access(), &authority, &node).await?;
    let levels = notice_settings::list(
        web.access(),
        &authority,
        Some(&node),
        query.cursor(),
        PAGE_SIZE,
    );
    let levels = levels.await?;
    let may_test = web.options().notices.is_some();
    let page = build(&ui, &own, &visible, may_test);
    let next = query.next("/notices", levels.next);
    render(&page.with_levels(&levels.items, next))
}

/// A form about the notices of a node: of its settings, a recipient or credentials.
#[derive(Template)]
#[template(path = "notice_form.html")]
pub(crate) struct FormPage<'a> {
    pub(crate) ui: &'a Ui,
    pub(crate) title: String,
    pub(crate) help: Option<String>,
    pub(crate) node: String,
    pub(crate) back: String,
    pub(crate) action: String,
    pub(crate) version: String,
    pub(crate) sections: Vec<Section>,
    pub(crate) summary: Vec<(Option<String>, String, String)>,
    pub(crate) failure: Option<Failed>,
}

/// Builds the form of a node's settings. `inherited` are the fields that apply without the level.
pub(crate) fn build_form<'a>(
    ui: &'a Ui,
    own: &NodeSettings,
    inherited: &ResolvedFields,
    posted: Option<&Posted>,
    errors: Vec<FieldError>,
) -> FormPage<'a> {
    let node = &own.hierarchy;
    let mut sections = notice_form::build_sections(ui, &own.settings, inherited, node, posted);
    let errors = notice_form::place_errors(errors, &own.settings);
    let mut all = Vec::new();
    for section in &mut sections {
        form::set_errors(&mut section.fields, &errors);
        all.extend(section.fields.iter().cloned());
    }
    let version = posted.and_then(|posted| posted.get(VERSION));
    FormPage {
        title: ui.t("notices.edit-title"),
        help: None,
        back: address("/notices", node),
        action: address("/notices/edit", node),
        version: version.map_or_else(|| own.version.to_string(), str::to_owned),
        summary: form::summarize(&all, &errors),
        sections,
        failure: None,
        node: clean(node.as_str()),
        ui,
    }
}

/// Resolves the fields that a node inherits, as the reader may see them.
async fn find_inherited(
    web: &Web,
    ui: &Ui,
    allowed: &Read,
    node: &Hierarchy,
) -> Result<ResolvedFields, WebError> {
    let parent = node.as_str().rsplit_once('.');
    let parent: Option<Hierarchy> = parent.and_then(|(parent, _)| parent.parse().ok());
    let levels = match &parent {
        Some(parent) => load_levels(web.store(), parent).await?,
        None => Vec::new(),
    };
    let levels = levels.iter().map(read_level);
    let levels = levels.collect::<Result<Vec<Level>, AppError>>()?;
    let notices = web.options().notices.as_ref();
    let defaults = notices.map(|notices| notices.defaults().clone());
    let resolved = resolve(&levels, &defaults.unwrap_or_default());
    let reader = find_reader_node(&ui.authority(allowed), node);
    Ok(resolved.visible_from(&reader).fields)
}

/// Reads a node's settings for a change. The node must be one whose settings may be changed.
pub(crate) async fn find_own(
    web: &Web,
    ui: &Ui,
    (read, change): (&Read, &Change),
    requested: &str,
) -> Result<NodeSettings, WebError> {
    let (node, _) = choose_node(web, read, requested).await?;
    change.check(&node)?;
    notice_settings::find(web.access(), &ui.authority(read), &node).await
}

/// Shows the form of a node's settings.
pub(crate) async fn show_edit(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<ListQuery>,
) -> Result<Response, WebError> {
    let own = find_own(&web, &ui, (&read, &change), &query.hierarchy).await?;
    let inherited = find_inherited(&web, &ui, &read, &own.hierarchy).await?;
    render(&build_form(&ui, &own, &inherited, None, Vec::new()))
}

/// Saves the settings of a node. Its recipients stay.
pub(crate) async fn save(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<ListQuery>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let own = find_own(&web, &ui, (&read, &change), &query.hierarchy).await?;
    let posted = Posted(pairs);
    let rules = find_rules(&web);
    let mut errors = Vec::new();
    let settings = notice_form::read(&ui, &posted, &own.settings, &mut errors);
    let saved = match errors.is_empty() {
        true => {
            let version = posted.get(VERSION).and_then(|version| version.parse().ok());
            let authority = ui.authority(&change);
            let node = &own.hierarchy;
            notice_settings::save(web.access(), &authority, rules, node, &settings, version).await
        }
        false => {
            errors.extend(parse(&settings, rules).err().unwrap_or_default());
            Err(invalid(errors))
        }
    };
    match saved {
        Ok(saved) if saved.new_secrets.is_empty() => {
            Ok(Redirect::to(&address("/notices", &own.hierarchy)).into_response())
        }
        Ok(saved) => show_secrets(&ui, &own.hierarchy, &saved.new_secrets),
        Err(error) => {
            let inherited = find_inherited(&web, &ui, &read, &own.hierarchy).await?;
            let failure = error.error.field_errors.is_empty();
            let failure = failure.then(|| Failed::new(&error, &ui));
            let (status, errors) = (error.status, error.error.field_errors);
            let page = build_form(&ui, &own, &inherited, Some(&posted), errors);
            render_with(status, &FormPage { failure, ..page })
        }
    }
}

/// Shows new signing secrets, once.
pub(crate) fn show_secrets(
    ui: &Ui,
    node: &Hierarchy,
    secrets: &[NewSecret],
) -> Result<Response, WebError> {
    let page = build_secrets(ui, node, secrets);
    render_with(StatusCode::OK, &page)
}

/// Builds the page with new signing secrets.
pub(crate) fn build_secrets<'a>(
    ui: &'a Ui,
    node: &Hierarchy,
    secrets: &[NewSecret],
) -> SecretPage<'a> {
    let names: BTreeMap<&str, String> = secrets
        .iter()
        .map(|secret| (secret.id.as_str(), clean(&secret.name)))
        .collect();
    let names: Vec<String> = names.into_values().collect();
    let values = secrets.iter().map(|secret| {
        let value = secret.signing_secret.expose_secret();
        match secrets.len() {
            1 => value.to_owned(),
            _ => format!("{}: {value}", clean(&secret.name)),
        }
    });
    SecretPage {
        title: ui.t("recipient.issued"),
        text: ui.t1("recipient.issued-text", names.join(", ")),
        value: values.collect::<Vec<_>>().join("\n"),
        expires: None,
        back: address("/notices", node),
        ui,
    }
}

/// Builds the page that asks whether to remove the settings of a node.
pub(crate) fn confirm_removal<'a>(ui: &'a Ui, node: &Hierarchy) -> ConfirmPage<'a> {
    ConfirmPage {
        title: ui.t("notices.remove-title"),
        text: ui.t("notices.remove-text"),
        is_final: true,
        node: clean(node.as_str()),
        action: address("/notices/remove", node),
        button: ui.t("notices.remove-confirm"),
        back: address("/notices", node),
        fields: Vec::new(),
        summary: Vec::new(),
        failure: None,
        ui,
    }
}

/// Asks whether to remove the settings of a node, or removes them.
pub(crate) async fn remove(
    State(web): State<Web>,
    ui: Ui,
    change: Change,
    read: Read,
    Filtered(query): Filtered<ListQuery>,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let own = find_own(&web, &ui, (&read, &change), &query.hierarchy).await?;
    if own.version == 0 {
        return Err(WebError::not_found());
    }
    if !is_confirmed(&Posted(pairs)) {
        return render(&confirm_removal(&ui, &own.hierarchy));
    }
    let authority = ui.authority(&change);
    notice_settings::remove(web.access(), &authority, &own.hierarchy, None).await?;
    Ok(Redirect::to(&address("/notices", &own.hierarchy)).into_response())
}

/// Returns the settings of a node as the access functions take them.
///
/// # Errors
/// The settings cannot be written.
pub(crate) fn to_json(settings: &NoticeSettings) -> Result<serde_json::Value, WebError> {
    serde_json::to_value(settings).map_err(|error| {
        let message = format!("the notice settings cannot be written: {error}");
        AppError::new(relation_app::ErrorKind::Internal, message).into()
    })
}
