//! `demo`: one customer's whole life, in seconds: the real component, store, scheduler and HTTP client
//! against an emulated Webex, with one clock that all of them share and that the demo moves.

use super::Global;
use super::failure::Failed;

mod beginning;
mod consent;
mod database;
mod end;
mod stage;
mod story;

use self::stage::Stage;
use self::story::Story;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Works in a directory of its own, which it removes. With --json it prints one \
                        object a line for each step, and a summary at the end. Fails if any step ends \
                        otherwise than it should."
)]
pub struct Args {}

/// Tells the story, and fails where it goes wrong.
pub async fn run(_args: &Args, global: &Global) -> Result<(), Failed> {
    let stage = Stage::set(global).await?;
    let mut story = Story::new(stage, global.json);
    let (organization, grant) = beginning::tell(&mut story).await?;
    end::tell(&mut story, &organization, &grant).await?;
    story.summary().await
}
