//! How the story is drawn: lines that stay, and below them the GPUs as bars.
//!
//! In a terminal the bars are drawn again in place; elsewhere they are printed once per scene.

use std::fmt::Write as _;

use fastgpu_api::view::{GpuView, TaskView};
use fastgpu_core::ids::DeviceIndex;

use crate::failure::Failure;
use crate::output::{Output, Stream, Tone};
use crate::visible::visible;

/// Cells of one bar.
const CELLS: u32 = 24;
/// More GPUs than this would push the story off the screen.
const BARS_MAX: usize = 8;
/// Each task keeps its own filling, so that neighbours can be told apart without colour.
const FILLINGS: [char; 4] = ['█', '▓', '▒', '▚'];
const TONES: [Tone; 4] = [Tone::Good, Tone::Note, Tone::Busy, Tone::Bold];

pub(super) struct Stage<'a> {
    out: &'a Output,
    live: bool,
    /// Lines of bars that are on the screen below the story.
    drawn: usize,
    /// Names of tasks by id, in the order of their appearance.
    cast: Vec<(String, String)>,
}

impl<'a> Stage<'a> {
    pub(super) fn new(out: &'a Output) -> Self {
        Self { out, live: out.is_terminal(), drawn: 0, cast: Vec::new() }
    }

    /// The next chapter.
    pub(super) fn scene(&mut self, title: &str) -> Result<(), Failure> {
        self.line("")?;
        self.line(&self.out.paint(Tone::Bold, title))
    }

    /// What a person would have typed.
    pub(super) fn typed(&mut self, command: &str) -> Result<(), Failure> {
        self.line(&format!("  {} {command}", self.out.paint(Tone::Dim, "$")))
    }

    /// Something that happened.
    pub(super) fn says(&mut self, text: &str) -> Result<(), Failure> {
        self.line(&format!("    {}", visible(text)))
    }

    /// A line that is already as it should look.
    pub(super) fn painted(&mut self, text: &str) -> Result<(), Failure> {
        self.line(&format!("    {text}"))
    }

    /// A task enters the story.
    pub(super) fn enters(&mut self, task: &TaskView) {
        let name = task.name.clone().unwrap_or_else(|| task.id.clone());
        self.cast.push((task.id.clone(), name));
    }

    pub(super) fn output(&self) -> &Output {
        self.out
    }

    /// Whether bars are drawn in place: then it is worth drawing them often.
    pub(super) fn is_live(&self) -> bool {
        self.live
    }

    /// Draws the GPUs: in place in a terminal, as lines of the story elsewhere.
    pub(super) fn bars(&mut self, gpus: &[GpuView]) -> Result<(), Failure> {
        let lines: Vec<_> = gpus.iter().take(BARS_MAX).map(|gpu| self.bar(gpu)).collect();
        self.erase()?;
        for line in &lines {
            self.out.data(line)?;
        }
        if self.live {
            self.drawn = lines.len();
        }
        Ok(())
    }

    /// Leaves the bars where they are and goes on below them.
    pub(super) fn settle(&mut self) {
        self.drawn = 0;
    }

    fn line(&mut self, text: &str) -> Result<(), Failure> {
        self.erase()?;
        self.out.data(text)
    }

    fn erase(&mut self) -> Result<(), Failure> {
        let drawn = std::mem::take(&mut self.drawn);
        if drawn == 0 {
            return Ok(());
        }
        // Up to the first bar, then clear everything below.
        self.out.raw(Stream::Stdout, format!("\x1b[{drawn}A\x1b[J").as_bytes())
    }

    fn bar(&self, gpu: &GpuView) -> String {
        let mut cells = String::new();
        let mut names = String::new();
        let mut left = CELLS;
        for holder in &gpu.tasks {
            let part = self.cast.iter().position(|(id, _)| *id == holder.id);
            let place = part.unwrap_or(self.cast.len()) % FILLINGS.len();
            let wide = (holder.share_milli * CELLS).div_ceil(1_000).min(left);
            left -= wide;
            let filling: String = (0..wide).map(|_| FILLINGS[place]).collect();
            cells.push_str(&self.out.paint(TONES[place], &filling));
            let name = part.map_or(holder.id.as_str(), |part| self.cast[part].1.as_str());
            let _ = write!(names, " {}", visible(name));
        }
        cells.extend((0..left).map(|_| '░'));
        format!("    {} {cells}{names}", DeviceIndex(gpu.index))
    }
}
