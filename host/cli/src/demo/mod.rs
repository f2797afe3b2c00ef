//! `demo`: runs the whole lifetime of one customer in seconds, or serves the page with many customers. The component,
//! store, scheduler and HTTP client are real, and Webex is emulated. All of them share one clock, which the demo moves.

use std::net::SocketAddr;

use relation_app::AppError;

use super::GlobalArgs;

mod consent;
mod database;
mod environment;
mod expiry;
mod operation;
mod serve;
mod steps;

use self::environment::Environment;
use self::steps::DemoRun;

/// Arguments of `demo`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = "\
Without options, the demo runs by itself: it adds a customer, keeps it connected over 90 simulated days, lets its
tokens expire, connects it again, imports its data and deletes it. It fails if a step has a wrong result. With --json
it prints one object a line for each step, and a summary at the end.

With --serve, it serves the administrators' page with a few dozen organizations in every state, and prints an address
that logs you in. Try these:
  Needs you      shows what needs a person, the most urgent first
  +30 days       moves the simulated time: tokens are refreshed, expire and
                 raise alerts on the way
  Connect        an expired organization leads to the consent page of the
                 emulated Webex: accept for the organization of the same name,
                 accept for another one, or decline
  Add            an organization of your own, and connect it as the proposed
                 Kingfisher Kayaks

Both work in a directory of their own, which they remove. They need no configuration, and no account at Webex.")]
pub struct Args {
    /// Serve the page with organizations in every state, on simulated time, until stopped
    #[arg(long)]
    serve: bool,
    /// The address to serve on, of this machine [default: 127.0.0.1 and a free port]
    #[arg(long, value_name = "ADDRESS", requires = "serve")]
    listen: Option<SocketAddr>,
}

/// Runs the demo. Fails at the first step with a wrong result.
pub async fn run(args: &Args, global: &GlobalArgs) -> Result<(), AppError> {
    if args.serve {
        return serve::run(args.listen, global).await;
    }
    let environment = Environment::start(global, &environment::Setup::default()).await?;
    let mut demo = DemoRun::new(environment, global.json);
    let (organization, grant) = operation::run(&mut demo).await?;
    expiry::run(&mut demo, &organization, &grant).await?;
    demo.summary().await
}
