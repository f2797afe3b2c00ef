//! The part of resolved settings that a reader may see.

use relation_types::Hierarchy;
use serde::Serialize;

use super::{
    Origin, Resolved, ResolvedChannels, ResolvedFields, ResolvedList, ResolvedRecipient, Sourced,
};

/// The settings as a reader of one node may see them. For levels above the reader's, they contain neither nodes nor
/// recipients, nor the number of recipients.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VisibleSettings {
    /// The fields apart from recipients, with [`Origin::Inherited`] in place of levels above.
    #[serde(flatten)]
    pub fields: ResolvedFields,
    /// The nearest level that says something about recipients.
    pub recipients_origin: Origin,
    /// The recipients of the reader's level and below.
    pub recipients: Vec<ResolvedRecipient>,
    /// Whether a level above has recipients too.
    pub told_above: bool,
}

impl Resolved {
    /// Returns what a reader with rights at and below `node` may see.
    #[must_use]
    pub fn visible_from(&self, node: &Hierarchy) -> VisibleSettings {
        let mut fields = self.fields.clone();
        // A field that is added must be hidden here too, or this does not compile.
        let ResolvedFields {
            notify,
            thresholds,
            channels,
            kinds,
            retrying_after,
            reminder,
            digest,
            quiet_hours,
            language,
            budget,
            account_email,
        } = &mut fields;
        let ResolvedChannels {
            mail,
            webhook,
            snmp,
        } = channels;
        for flag in [notify, mail, webhook, snmp, account_email] {
            hide_value(flag, node);
        }
        hide_list(thresholds, node);
        hide_list(kinds, node);
        hide_value(retrying_after, node);
        hide_value(reminder, node);
        hide_value(digest, node);
        hide_value(quiet_hours, node);
        hide_value(language, node);
        hide_value(budget, node);
        let mut recipients_origin = self.recipients_origin.clone();
        hide(&mut recipients_origin, node);
        let is_visible = |recipient: &&ResolvedRecipient| node.contains(&recipient.origin);
        let recipients: Vec<_> = self.recipients.iter().filter(is_visible).cloned().collect();
        VisibleSettings {
            fields,
            recipients_origin,
            told_above: recipients.len() < self.recipients.len(),
            recipients,
        }
    }
}

fn hide(origin: &mut Origin, node: &Hierarchy) {
    if matches!(origin, Origin::Node(level) if !node.contains(level)) {
        *origin = Origin::Inherited;
    }
}

fn hide_value<T>(value: &mut Sourced<T>, node: &Hierarchy) {
    hide(&mut value.origin, node);
}

fn hide_list<T>(list: &mut ResolvedList<T>, node: &Hierarchy) {
    hide(&mut list.origin, node);
    for value in &mut list.values {
        hide_value(value, node);
    }
}
