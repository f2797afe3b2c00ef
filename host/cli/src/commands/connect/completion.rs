//! `connect --complete`: completes a consent that another process has begun.

use std::io::{self, IsTerminal};

use relation_app::check;
use relation_app::config::RedirectAddress;
use relation_app::records::StoredRecord;
use relation_app::{AppError, ErrorKind};
use relation_host::types::Reference;
use secrecy::{ExposeSecret as _, SecretString};

use super::callback_text::{ExpectedCallback, find_pkid};
use super::flow::{ConnectFlow, ReceivedCallback};
use super::stdin_lines::StdinLines;
use super::{next_open_grant, reject_paste, warn_of_same_organization};
use crate::Context;
use crate::record_selector::RecordSelector;
use crate::shutdown::Shutdown;
use crate::streams::stderr;

/// Completes the consent of the redirect URL `address`. The record is the one of the callback's state.
pub(super) async fn complete(
    context: &Context,
    address: SecretString,
    selector: Option<RecordSelector>,
    redirect: RedirectAddress,
    shutdown: Shutdown,
) -> Result<(), AppError> {
    let expected = ExpectedCallback {
        redirect: &redirect,
        state: None,
    };
    let address = match address.expose_secret() {
        "-" => {
            let mut lines =
                StdinLines::start(io::stdin().is_terminal() && !context.output.json)?;
            tokio::select! {
                address = lines.callback(expected, |why| reject_paste(context, "the link", why)) => address?,
                () = shutdown.wait() => return Err(AppError::new(
                    ErrorKind::Failed,
                    "stopped while waiting for the redirect URL; the consent stays open",
                )),
            }
        }
        text => expected.find(text).ok_or_else(|| {
            let reason = expected.describe_mismatch(text);
            AppError::usage(format!("this is not the redirect URL of a consent: {reason}"))
                .hint("put the whole address in quotes, or use `--complete -` and paste it: a shell ends it at &")
        })?,
    };
    let Some(pkid) = find_pkid(address.expose_secret()) else {
        return Err(AppError::usage(
            "the redirect URL has no state that names a customer",
        ));
    };
    check::require_prerequisites(&context.installation).map_err(|error| AppError {
        message: format!("{error}; the consent stays open"),
        hint: Some(format!(
            "{}; then run this command with the same address again",
            error.hint.as_deref().unwrap_or("correct the installation")
        )),
        ..error
    })?;
    let host = context.installation.host().await?;
    let store = host.store().as_ref();
    let found = store.get(&[Reference::record(pkid.clone())]).await?;
    let record = found.into_iter().flatten().next().map(StoredRecord::from);
    let Some(record) = record else {
        return Err(AppError::new(
            ErrorKind::NotFound,
            format!(
                "the customer of this consent, {pkid}, is not in the store {}",
                context.installation.config.store
            ),
        )
        .hint(
            "it was deleted, or the consent was begun on another store: see --store and --config",
        ));
    };
    if let Some(selector) = selector {
        let named = selector.find(store).await?;
        if named.pkid != record.pkid {
            return Err(AppError::usage(format!(
                "this consent is for {}, not for {}; no customer was changed",
                record.name(),
                named.name()
            ))
            .hint("leave the name out: the redirect URL says for which customer it is"));
        }
    }
    let flow = ConnectFlow {
        context,
        host,
        record,
        redirect: redirect.clone(),
        shutdown,
        is_handed_over: true,
    };
    let connected = match flow.complete(&ReceivedCallback::Line(address)).await {
        Ok(connected) => connected,
        Err(error) => return Err(flow.explain_refusal(error).await),
    };
    flow.print_connected(&connected)?;
    warn_of_same_organization(flow.host.store().as_ref(), &flow.record.pkid).await;
    if let Some(open) = next_open_grant(&connected.value.connection) {
        stderr::note(&format!(
            "The grant {open} is not connected yet: `{}` prints the link.",
            flow.connect_command()
        ));
    }
    Ok(())
}
