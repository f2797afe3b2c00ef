//! A script as it is played: which step answers a request, and what is left.

use super::unexpected::{Nearest, ScriptError, Unexpected, Unused};
use super::{Answer, Script, Step};
use crate::redaction::Redactor;
use crate::transcript::Request;

/// A script with how often each step was used.
#[derive(Clone, Debug)]
pub(crate) struct Playing {
    steps: Vec<Played>,
    always: Vec<Step>,
    unexpected: Vec<Unexpected>,
    unusable: Vec<String>,
}

/// A step and how often it was used.
#[derive(Clone, Debug)]
pub(crate) struct Played {
    step: Step,
    group: usize,
    used: u32,
}

impl Played {
    fn left(&self) -> bool {
        self.used < self.step.times
    }
}

impl Playing {
    pub(crate) fn new(script: Script) -> Self {
        let groups = script.groups.into_iter().enumerate();
        let steps = groups.flat_map(|(group, steps)| {
            steps.into_iter().map(move |step| Played {
                step,
                group,
                used: 0,
            })
        });
        Self {
            steps: steps.collect(),
            always: script.always,
            unexpected: Vec::new(),
            unusable: Vec::new(),
        }
    }

    /// The answer to `request`, which still has its secrets; or in what it differs from the nearest step.
    pub(crate) fn answer(
        &mut self,
        request: &Request,
        redactor: &Redactor,
    ) -> Result<Answer, Box<Unexpected>> {
        let turn = self.turn();
        let fits = |step: &Step| step.request.mismatches(request, redactor).is_empty();
        let next = self
            .steps
            .iter_mut()
            .find(|played| Some(played.group) == turn && played.left() && fits(&played.step));
        if let Some(played) = next {
            played.used += 1;
            return Ok(played.step.answer.clone());
        }
        if let Some(step) = self.always.iter().find(|step| fits(step)) {
            return Ok(step.answer.clone());
        }
        let unexpected = Unexpected {
            request: request.redacted(redactor),
            nearest: self.nearest(request, redactor),
        };
        self.unexpected.push(unexpected.clone());
        Err(Box::new(unexpected))
    }

    /// The group whose turn it is; none: everything has been used.
    fn turn(&self) -> Option<usize> {
        let left = self.steps.iter().find(|played| played.left());
        left.map(|played| played.group)
    }

    /// The step that differs least; of several that do, the one whose turn it is, then the earliest.
    fn nearest(&self, request: &Request, redactor: &Redactor) -> Option<Nearest> {
        let turn = self.turn();
        let steps = self.steps.iter().enumerate().map(|(index, played)| {
            let said = match turn {
                _ if !played.left() => Some(format!(
                    "which was used {} of {} times already",
                    played.used, played.step.times
                )),
                Some(turn) if turn < played.group => {
                    Some("whose turn comes after steps that were not used yet".to_owned())
                }
                _ => None,
            };
            (self.name(index, &played.step), &played.step, said)
        });
        let always = self
            .always
            .iter()
            .map(|step| (called(step, "a step for any time"), step, None));
        steps
            .chain(always)
            .map(|(name, step, turn)| Nearest {
                step: name,
                turn,
                mismatches: step.request.mismatches(request, redactor),
            })
            .min_by_key(|nearest| {
                let elsewhere = nearest
                    .mismatches
                    .iter()
                    .any(|mismatch| mismatch.part == "url");
                // Another address is farther away than any other difference.
                (elsewhere, nearest.mismatches.len(), nearest.turn.is_some())
            })
    }

    fn name(&self, index: usize, step: &Step) -> String {
        called(step, &format!("step {}", index + 1))
    }

    /// What was not as the script says, if nothing more comes.
    pub(crate) fn verdict(&self) -> Result<(), ScriptError> {
        let unused = self.steps.iter().enumerate();
        let unused = unused.filter(|(_, played)| played.left());
        let error = ScriptError {
            unusable: self.unusable.clone(),
            unexpected: self.unexpected.clone(),
            unused: unused
                .map(|(index, played)| Unused {
                    step: self.name(index, &played.step),
                    expects: format!("{} {}", played.step.request.method, played.step.request.url),
                    times: played.step.times,
                    used: played.used,
                })
                .collect(),
        };
        if error.is_empty() { Ok(()) } else { Err(error) }
    }

    /// Notes an answer that cannot be sent, and why.
    pub(crate) fn complain(&mut self, why: String) {
        self.unusable.push(why);
    }

    /// The requests that were not expected so far.
    pub(crate) fn unexpected(&self) -> &[Unexpected] {
        &self.unexpected
    }
}

fn called(step: &Step, otherwise: &str) -> String {
    step.name.clone().unwrap_or_else(|| otherwise.to_owned())
}

#[cfg(test)]
mod tests;
