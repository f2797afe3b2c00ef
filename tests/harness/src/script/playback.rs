//! The playback of a script: the response to each request, and the remaining steps.

use super::error::{NearestStep, ScriptError, UnexpectedRequest, UnusedStep};
use super::{Script, ScriptedResponse, Step};
use crate::redaction::Redactor;
use crate::transcript::Request;

/// A script with the uses of each step.
#[derive(Clone, Debug)]
pub(crate) struct Playback {
    steps: Vec<StepUse>,
    always: Vec<Step>,
    unexpected: Vec<UnexpectedRequest>,
    unusable: Vec<String>,
}

/// A step with the number of its uses.
#[derive(Clone, Debug)]
pub(crate) struct StepUse {
    step: Step,
    group: usize,
    used: u32,
}

impl StepUse {
    fn is_left(&self) -> bool {
        self.used < self.step.times
    }
}

impl Playback {
    pub(crate) fn new(script: Script) -> Self {
        let groups = script.groups.into_iter().enumerate();
        let steps = groups.flat_map(|(group, steps)| {
            steps.into_iter().map(move |step| StepUse {
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

    /// Returns the response to `request`, which is not redacted, or the differences from the nearest step.
    pub(crate) fn respond(
        &mut self,
        request: &Request,
        redactor: &Redactor,
    ) -> Result<ScriptedResponse, Box<UnexpectedRequest>> {
        let turn = self.current_group();
        let fits = |step: &Step| step.request.mismatches(request, redactor).is_empty();
        let next = self
            .steps
            .iter_mut()
            .find(|played| Some(played.group) == turn && played.is_left() && fits(&played.step));
        if let Some(played) = next {
            played.used += 1;
            return Ok(played.step.response.clone());
        }
        if let Some(step) = self.always.iter().find(|step| fits(step)) {
            return Ok(step.response.clone());
        }
        let unexpected = UnexpectedRequest {
            request: request.redact(redactor),
            nearest: self.nearest(request, redactor),
        };
        self.unexpected.push(unexpected.clone());
        Err(Box::new(unexpected))
    }

    /// Returns the first group with an unused step; `None` if all are used.
    fn current_group(&self) -> Option<usize> {
        let left = self.steps.iter().find(|played| played.is_left());
        left.map(|played| played.group)
    }

    /// Returns the step with the fewest differences, preferring the present group and then the earliest step.
    fn nearest(&self, request: &Request, redactor: &Redactor) -> Option<NearestStep> {
        let turn = self.current_group();
        let steps = self.steps.iter().enumerate().map(|(index, played)| {
            let turn_text = match turn {
                _ if !played.is_left() => Some(format!(
                    "which was used {} of {} times already",
                    played.used, played.step.times
                )),
                Some(turn) if turn < played.group => {
                    Some("whose turn comes after steps that were not used yet".to_owned())
                }
                _ => None,
            };
            (self.name(index, &played.step), &played.step, turn_text)
        });
        let always = self
            .always
            .iter()
            .map(|step| (step_name(step, "a step for any time"), step, None));
        steps
            .chain(always)
            .map(|(name, step, turn)| NearestStep {
                step: name,
                turn,
                mismatches: step.request.mismatches(request, redactor),
            })
            .min_by_key(|nearest| {
                let elsewhere = nearest
                    .mismatches
                    .iter()
                    .any(|mismatch| mismatch.part == "url");
                // Another address counts more than any other difference.
                (elsewhere, nearest.mismatches.len(), nearest.turn.is_some())
            })
    }

    fn name(&self, index: usize, step: &Step) -> String {
        step_name(step, &format!("step {}", index + 1))
    }

    /// Checks that all requests were expected and all steps were used.
    pub(crate) fn verify(&self) -> Result<(), ScriptError> {
        let unused = self.steps.iter().enumerate();
        let unused = unused.filter(|(_, played)| played.is_left());
        let error = ScriptError {
            unusable: self.unusable.clone(),
            unexpected: self.unexpected.clone(),
            unused: unused
                .map(|(index, played)| UnusedStep {
                    step: self.name(index, &played.step),
                    expects: format!("{} {}", played.step.request.method, played.step.request.url),
                    times: played.step.times,
                    used: played.used,
                })
                .collect(),
        };
        if error.is_empty() { Ok(()) } else { Err(error) }
    }

    /// Notes the reason why a response cannot be sent.
    pub(crate) fn complain(&mut self, reason: String) {
        self.unusable.push(reason);
    }

    /// Returns the unexpected requests so far.
    pub(crate) fn unexpected(&self) -> &[UnexpectedRequest] {
        &self.unexpected
    }
}

fn step_name(step: &Step, otherwise: &str) -> String {
    step.name.clone().unwrap_or_else(|| otherwise.to_owned())
}

#[cfg(test)]
mod tests;
