//! The fault sweep: one call is run again and again, each time with one import failing or the process
//! lost at one point, and then gone on with as its callers would. Whatever the point, the end has to be
//! that of the undisturbed run, or one that has a name.
//!
//! ```no_run
//! # async fn example(
//! #     story: impl relation_harness::sweep::Story,
//! # ) -> Result<(), relation_harness::sweep::SweepError> {
//! let report = relation_harness::sweep::sweep(&story).await?;
//! assert!(report.unexplained.is_empty(), "{report}");
//! # Ok(())
//! # }
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use relation_host::imports::{Import, Interceptor};
use serde_json::Value;

use crate::{Failed, Harness, StartError};

mod blow;
mod code;
mod saboteur;

pub use blow::Blow;
pub use code::Code;
pub use saboteur::Saboteur;

/// What is swept: a call in a world of its own, which can be made as often as there are points.
#[async_trait]
pub trait Story: Send + Sync {
    /// What the story is of: a test's harness, and what belongs to it.
    type Scene: Scene;

    /// Names it in reports.
    fn name(&self) -> &str;

    /// Everything up to the call, the same each time. The harness is built with this interceptor, which
    /// does nothing yet.
    async fn begin(&self, interceptor: Arc<dyn Interceptor>) -> Self::Scene;

    /// The call.
    async fn act(&self, scene: &Self::Scene) -> Result<(), Failed>;

    /// What its callers do then: whoever was refused asks again, what is due runs, time passes, until
    /// nothing is left to do.
    async fn go_on(&self, scene: &mut Self::Scene, acted: Result<(), Lost>);

    /// What there is in the end, without what differs from one undisturbed run to the next.
    async fn remains(&self, scene: &Self::Scene) -> Value;

    /// The name of an end that is not that of the undisturbed run, when it is a known one after this
    /// point. The documentation of the story's author says what each name means.
    fn degraded(
        &self,
        point: &Point,
        remains: &Value,
        undisturbed: &Undisturbed,
    ) -> Option<&'static str>;
}

/// What a story takes place in.
pub trait Scene: Send + Sync {
    /// The harness of it.
    fn harness(&mut self) -> &mut Harness;
}

/// Why a call did not do what it was asked, as its caller sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// It said so.
    Failed(Failed),
    /// The process that ran it is gone; another one has been started since.
    Process,
}

/// The run in which nothing goes wrong.
#[derive(Clone, Debug)]
pub struct Undisturbed {
    /// The imports of its call, in their order.
    pub imports: Vec<Import>,
    /// What there is in the end.
    pub remains: Value,
}

impl Undisturbed {
    /// Where `import` is called first, counted from 1, behind the `nth`; 0 for the beginning.
    pub fn first_behind(&self, nth: usize, import: Import) -> Option<usize> {
        let mut imports = self.imports.iter().skip(nth);
        let place = imports.position(|called| *called == import)?;
        Some(nth + place + 1)
    }
}

/// One place at which one thing goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Point {
    /// Which import call it is, counted from 1.
    pub nth: usize,
    /// What is called there.
    pub import: Import,
    /// What goes wrong.
    pub blow: Blow,
}

impl Point {
    /// Whether what goes wrong lies behind the carrying out of the `nth` import.
    pub fn is_behind(&self, nth: usize) -> bool {
        self.nth > nth || (self.nth == nth && self.blow.is_carried_out())
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (nth, import) = (self.nth, self.import.name());
        write!(f, "import {nth}, {import}: {}", self.blow)
    }
}

/// An end that nobody has explained.
#[derive(Clone, Debug)]
pub struct Unexplained {
    /// After what.
    pub point: Point,
    /// What there was instead, and what there should have been: the lines that differ.
    pub difference: String,
}

/// What a sweep found.
#[derive(Clone, Debug)]
pub struct Report {
    /// The story's name.
    pub story: String,
    /// The run with which each of them is compared.
    pub undisturbed: Undisturbed,
    /// How many points were tried.
    pub points: usize,
    /// How many ended as the undisturbed run.
    pub same: usize,
    /// How many ended in each state that has a name.
    pub degraded: BTreeMap<&'static str, usize>,
    /// Those that ended otherwise.
    pub unexplained: Vec<Unexplained>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            story,
            points,
            same,
            ..
        } = self;
        write!(f, "{story}: {points} points, {same} as undisturbed")?;
        for (name, count) in &self.degraded {
            write!(f, ", {count} {name}")?;
        }
        write!(f, ", {} unexplained", self.unexplained.len())?;
        for Unexplained { point, difference } in &self.unexplained {
            write!(f, "\n{point}\n{difference}")?;
        }
        Ok(())
    }
}

/// Why a story could not be swept.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// Its call fails although nothing goes wrong: what it ends in is nothing to compare with.
    #[error("the call fails undisturbed: {0}")]
    Undisturbed(#[source] Failed),
    /// A harness could not be started again where its process was lost.
    #[error(transparent)]
    Start(#[from] StartError),
}

/// Tries every point of a story: each import of its call with each way in which it can go wrong.
///
/// # Errors
/// [`SweepError`].
pub async fn sweep<S: Story>(story: &S) -> Result<Report, SweepError> {
    let saboteur = Arc::new(Saboteur::default());
    let mut scene = story.begin(saboteur.clone()).await;
    saboteur.watch(None);
    let acted = story.act(&scene).await;
    let imports = saboteur.stop();
    acted.map_err(SweepError::Undisturbed)?;
    story.go_on(&mut scene, Ok(())).await;
    let undisturbed = Undisturbed {
        imports,
        remains: story.remains(&scene).await,
    };
    drop(scene);

    let mut report = Report {
        story: story.name().to_owned(),
        undisturbed: undisturbed.clone(),
        points: 0,
        same: 0,
        degraded: BTreeMap::new(),
        unexplained: Vec::new(),
    };
    for (index, &import) in undisturbed.imports.iter().enumerate() {
        for blow in Blow::on(import) {
            let point = Point {
                nth: index + 1,
                import,
                blow,
            };
            let remains = struck(story, point).await?;
            report.points += 1;
            if remains == undisturbed.remains {
                report.same += 1;
            } else if let Some(name) = story.degraded(&point, &remains, &undisturbed) {
                *report.degraded.entry(name).or_default() += 1;
            } else {
                let difference = difference(&remains, &undisturbed.remains);
                report.unexplained.push(Unexplained { point, difference });
            }
        }
    }
    Ok(report)
}

/// What there is in the end after one point.
async fn struck<S: Story>(story: &S, point: Point) -> Result<Value, StartError> {
    let saboteur = Arc::new(Saboteur::default());
    let mut scene = story.begin(saboteur.clone()).await;
    saboteur.watch(Some(point));
    let acted = tokio::select! {
        acted = story.act(&scene) => acted.map_err(Lost::Failed),
        // The call is dropped where it is, as the loss of its process would leave it.
        () = saboteur.killed() => Err(Lost::Process),
    };
    saboteur.stop();
    if acted == Err(Lost::Process) {
        scene.harness().restart().await?;
    }
    story.go_on(&mut scene, acted).await;
    Ok(story.remains(&scene).await)
}

/// The lines that one has and the other has not.
fn difference(remains: &Value, undisturbed: &Value) -> String {
    let [remains, undisturbed] = [remains, undisturbed].map(|value| format!("{value:#}"));
    let only = |sign: char, one: &str, other: &str| {
        let other: Vec<&str> = other.lines().collect();
        let lines = one.lines().filter(|line| !other.contains(line));
        lines
            .map(|line| format!("  {sign} {line}\n"))
            .collect::<String>()
    };
    only('-', &undisturbed, &remains) + &only('+', &remains, &undisturbed)
}
