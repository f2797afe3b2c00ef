//! `demo`: runs the whole lifetime of one customer in seconds. The component, store, scheduler and HTTP
//! client are real, and Webex is emulated. All of them share one clock, which the demo moves.

use relation_app::AppError;

use super::GlobalArgs;

mod consent;
mod database;
mod environment;
mod expiry;
mod operation;
mod steps;

use self::environment::Environment;
use self::steps::DemoRun;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Works in a directory of its own, which it removes. With --json it prints one \
                        object a line for each step, and a summary at the end. Fails if a step has \
                        a wrong result."
)]
pub struct Args {}

/// Runs the demo. Fails at the first step with a wrong result.
pub async fn run(_args: &Args, global: &GlobalArgs) -> Result<(), AppError> {
    let environment = Environment::start(global).await?;
    let mut demo = DemoRun::new(environment, global.json);
    let (organization, grant) = operation::run(&mut demo).await?;
    expiry::run(&mut demo, &organization, &grant).await?;
    demo.summary().await
}
