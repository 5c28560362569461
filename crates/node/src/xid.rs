//! Error reports of NVIDIA's driver, by number: whose fault they are and what has to be done.
//!
//! The numbers follow NVIDIA's catalogue of XIDs for Ampere and later. A report that the table does not know says
//! nothing about the device. Where a driver itself says what it wants done, that counts more than this table.

/// What a report says about the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Blame {
    /// The program's own doing, or no more than a note.
    None,
    /// The machine's doing, and over with the program that was hit: another may come, after a rest.
    Passing,
    /// The machine's doing: no program can use the device until it has been reset or replaced.
    Lasting,
}

/// Whose fault a report is, and what it means in a few words.
pub(crate) const fn meaning(xid: u64) -> (Blame, &'static str) {
    use Blame::{Lasting, None, Passing};
    match xid {
        8 => (Passing, "the device stopped working"),
        37 | 38 => (Passing, "an error of the driver's firmware"),
        39..=41 | 70..=72 | 75..=77 | 85 | 126..=135 => (Passing, "a copy engine failed"),
        44 => (Lasting, "an engine failed between two programs"),
        46 | 109 | 158 => (Lasting, "the device did not answer in time"),
        48 => (Lasting, "a memory error that could not be corrected"),
        54 => (Lasting, "a power cable is missing"),
        61 | 62 | 169 => (Lasting, "a controller of the device halted"),
        64 => (Lasting, "broken memory could not be replaced"),
        66 | 67 => (Passing, "the driver did what it must not"),
        74 => (Lasting, "an NVLink failed"),
        78 | 123 | 151 => (Lasting, "the driver could not set the device up"),
        79 => (Lasting, "the device has fallen off the bus"),
        94 => (Passing, "a memory error that hit one program"),
        95 => (Lasting, "a memory error that may have hit every program"),
        110 => (Lasting, "a security fault"),
        119 | 120 => (Lasting, "the device's system processor failed"),
        121 => (Passing, "an error on the link to the processor"),
        136 | 155 => (Lasting, "NVLinks could not be set up"),
        140 => (Lasting, "memory errors that were not recovered from"),
        143 => (Lasting, "the device could not be started"),
        157 | 161 => (Lasting, "a broken part could not be replaced"),
        167 => (Lasting, "the bus did not answer in time"),
        171 | 172 => (Lasting, "a memory error that could not be corrected"),
        // 13, 31, 43, 45, 69 and their like come from programs; 63, 92, 93, 160 are notes; 154 says that the driver
        // wants something else now, and is read from the driver; 144 to 150 mean nothing without their details.
        _ => (None, "an error of a program"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(blame: Blame) -> Vec<u64> {
        (0..=180).filter(|&xid| meaning(xid).0 == blame).collect()
    }

    #[test]
    fn what_programs_do_and_what_is_only_a_note_is_no_fault_of_the_device() {
        let innocent = all(Blame::None);
        for xid in [13, 31, 43, 45, 68, 69, 137, 63, 92, 93, 154] {
            assert!(innocent.contains(&xid), "{xid}");
        }
        assert_eq!(meaning(999).0, Blame::None, "what is unknown says nothing");
    }

    #[test]
    fn hardware_and_driver_are_to_blame_for_what_they_did() {
        let lasting = all(Blame::Lasting);
        for xid in [46, 48, 61, 62, 64, 74, 79, 95, 109, 119, 120, 140, 143] {
            assert!(lasting.contains(&xid), "{xid}");
        }
        assert!(all(Blame::Passing).contains(&94), "the device goes on after a contained error");
    }
}
