//! The programs this device can run: built in, found by name, on real data.
//!
//! A kernel takes as long as a device of its model would, whatever the grid: the grid says how a program
//! divides its work, not how much there is.

use fastgpu_softgpu::models::Model;

use crate::abi::{Code, Done};

mod run;

/// A built-in kernel with its arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kernel {
    /// Keeps the device busy for so many microseconds.
    Busy(u64),
    /// Fills words: address, value, number of words.
    Fill(u64, u32, u64),
    /// Copies words: to, from, number of words.
    Copy(u64, u64, u64),
    /// `y = a * x + y`: number of floats, a, x, y.
    Saxpy(u64, f32, u64, u64),
    /// `c = a * b`: rows, a, b, c; square, row by row.
    Matmul(u64, u64, u64, u64),
    /// Iterations until escape, as words: see [`Picture`].
    Mandelbrot(Picture),
    /// Fixed work: rounds.
    Spin(u64),
    /// Writes one word: address.
    Poke(u64),
    /// Runs into a trap.
    Broken,
}

/// What a kernel can die of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It used an address that is not there.
    WildAddress,
    /// It used an address that is not a multiple of the word's size.
    Misaligned,
    /// It ran into a trap.
    Trap,
}

impl Fault {
    /// The driver's code for it.
    pub(crate) fn code(self) -> Code {
        match self {
            Self::WildAddress => Code::ILLEGAL_ADDRESS,
            Self::Misaligned => Code::MISALIGNED_ADDRESS,
            Self::Trap => Code::LAUNCH_FAILED,
        }
    }

    /// The XIDs that the driver reports for it.
    pub(crate) fn xids_of(code: Code) -> &'static [u64] {
        match code {
            Code::ILLEGAL_ADDRESS => &[31],
            Code::MISALIGNED_ADDRESS => &[13, 31],
            Code::LAUNCH_FAILED => &[43],
            _ => &[],
        }
    }
}

/// A part of the Mandelbrot set.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Picture {
    pub(crate) out: u64,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) iterations_max: u32,
    pub(crate) left: f32,
    pub(crate) top: f32,
    pub(crate) step_x: f32,
    pub(crate) step_y: f32,
}

/// A built-in kernel's name and the sizes of its parameters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Builtin {
    pub(crate) name: &'static str,
    pub(crate) parameters: &'static [usize],
}

/// All of them.
pub(crate) static BUILTINS: [Builtin; 9] = [
    Builtin { name: "busy", parameters: &[8] },
    Builtin { name: "fill", parameters: &[8, 4, 8] },
    Builtin { name: "copy", parameters: &[8, 8, 8] },
    Builtin { name: "saxpy", parameters: &[8, 4, 8, 8] },
    Builtin { name: "matmul", parameters: &[8, 8, 8, 8] },
    Builtin { name: "mandelbrot", parameters: &[8, 4, 4, 4, 4, 4, 4, 4] },
    Builtin { name: "spin", parameters: &[8] },
    Builtin { name: "poke", parameters: &[8] },
    Builtin { name: "broken", parameters: &[] },
];

impl Builtin {
    /// The kernel with a name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        BUILTINS.iter().find(|builtin| builtin.name == name)
    }

    /// Where each parameter begins in a packed buffer, as the compiler lays them out.
    pub(crate) fn offsets(&self) -> Vec<usize> {
        let mut at = 0usize;
        let place = |size: &usize| {
            let start = at.next_multiple_of(*size);
            at = start + size;
            start
        };
        self.parameters.iter().map(place).collect()
    }

    /// The kernel with its arguments, each as the bits of a number.
    pub(crate) fn with(&self, arguments: &[u64]) -> Done<Kernel> {
        let word = |index: usize| arguments[index] as u32;
        let float = |index: usize| f32::from_bits(word(index));
        if arguments.len() != self.parameters.len() {
            return Err(Code::INVALID_VALUE);
        }
        Ok(match self.name {
            "busy" => Kernel::Busy(arguments[0]),
            "fill" => Kernel::Fill(arguments[0], word(1), arguments[2]),
            "copy" => Kernel::Copy(arguments[0], arguments[1], arguments[2]),
            "saxpy" => Kernel::Saxpy(arguments[0], float(1), arguments[2], arguments[3]),
            "matmul" => Kernel::Matmul(arguments[0], arguments[1], arguments[2], arguments[3]),
            "spin" => Kernel::Spin(arguments[0]),
            "poke" => Kernel::Poke(arguments[0]),
            "broken" => Kernel::Broken,
            _ => Kernel::Mandelbrot(Picture {
                out: arguments[0],
                width: word(1),
                height: word(2),
                iterations_max: word(3),
                left: float(4),
                top: float(5),
                step_x: float(6),
                step_y: float(7),
            }),
        })
    }
}

/// What any kernel costs beside its work, in nanoseconds.
const LAUNCH_NS: u64 = 2_000;
/// The longest a kernel takes, whatever it is asked for: some months. Sums of it are still numbers.
const LONGEST_NS: u64 = 1 << 53;
/// One round of fixed work, in picoseconds.
const ROUND_PS: u64 = 23_270;
/// Floating-point operations of one step of the Mandelbrot set.
const STEP_OPERATIONS: u64 = 8;

impl Kernel {
    /// How long it takes on a device of a model, in nanoseconds.
    pub(crate) fn ns(&self, model: &Model) -> u64 {
        let moved = |words: u64| {
            words.saturating_mul(4).saturating_mul(1_000)
                / (model.memory_bytes_per_second() / 1_000_000).max(1)
        };
        let flops = u64::from(model.multiprocessors)
            * u64::from(model.limits().cores)
            * 2
            * u64::from(model.clocks.max);
        // Megaflops: operations * 1000 / (millions per second) are nanoseconds.
        let counted = |operations: u64| operations.saturating_mul(1_000) / flops.max(1);
        let ns = match self {
            Self::Busy(us) => us.saturating_mul(1_000),
            Self::Spin(rounds) => rounds.saturating_mul(ROUND_PS) / 1_000,
            Self::Poke(_) | Self::Broken => LAUNCH_NS,
            Self::Fill(_, _, words) => LAUNCH_NS + moved(*words),
            Self::Copy(_, _, words) => LAUNCH_NS + moved(words.saturating_mul(2)),
            Self::Saxpy(count, ..) => LAUNCH_NS + moved(count.saturating_mul(3)),
            Self::Matmul(rows, ..) => LAUNCH_NS + counted(2u64.saturating_mul(rows.saturating_pow(3))),
            Self::Mandelbrot(picture) => {
                let pixels = u64::from(picture.width) * u64::from(picture.height);
                let steps = pixels.saturating_mul(picture.iterations_max.into());
                LAUNCH_NS + counted(steps.saturating_mul(STEP_OPERATIONS))
            }
        };
        ns.min(LONGEST_NS)
    }

    /// The memory it touches: address and bytes.
    pub(crate) fn ranges(&self) -> Vec<(u64, u64)> {
        let words = |count: u64| count.saturating_mul(4);
        match *self {
            Self::Busy(_) | Self::Spin(_) | Self::Broken => Vec::new(),
            Self::Poke(address) => vec![(address, 4)],
            Self::Fill(out, _, count) => vec![(out, words(count))],
            Self::Copy(to, from, count) => vec![(to, words(count)), (from, words(count))],
            Self::Saxpy(count, _, x, y) => vec![(x, words(count)), (y, words(count))],
            Self::Matmul(rows, a, b, c) => {
                let bytes = words(rows.saturating_mul(rows));
                vec![(a, bytes), (b, bytes), (c, bytes)]
            }
            Self::Mandelbrot(picture) => {
                vec![(picture.out, words(u64::from(picture.width) * u64::from(picture.height)))]
            }
        }
    }

    /// The fault it runs into whatever its arguments are.
    pub(crate) fn own_fault(&self) -> Option<Fault> {
        matches!(self, Self::Broken).then_some(Fault::Trap)
    }

    /// Whether it takes time and does nothing else.
    pub(crate) fn touches_nothing(&self) -> bool {
        matches!(self, Self::Busy(_) | Self::Spin(_))
    }
}
