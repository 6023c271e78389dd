//! The way from the root to the element at hand. It is kept as steps and turned into text only
//! when there is something to report.

use std::fmt::Write;

#[derive(Clone, Copy)]
pub(super) enum Step<'v> {
    Name(&'v str),
    Index(usize),
}

#[derive(Default)]
pub(super) struct Path<'v> {
    steps: Vec<Step<'v>>,
}

impl<'v> Path<'v> {
    pub(super) fn push(&mut self, name: &'v str) {
        self.steps.push(Step::Name(name));
    }

    pub(super) fn push_index(&mut self, index: usize) {
        self.steps.push(Step::Index(index));
    }

    pub(super) fn pop(&mut self) {
        self.steps.pop();
    }

    pub(super) fn depth(&self) -> usize {
        self.steps.len()
    }

    /// `Observation.component[1].code`
    pub(super) fn render(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            match step {
                Step::Name(name) => {
                    if !text.is_empty() {
                        text.push('.');
                    }
                    text.push_str(name);
                }
                Step::Index(index) => {
                    let _ = write!(text, "[{index}]");
                }
            }
        }
        text
    }
}
