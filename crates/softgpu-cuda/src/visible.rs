//! Which devices a program may see, and in which order: what `CUDA_VISIBLE_DEVICES` means.

/// The ledger indices of the devices to show, by ordinal. `present` are those that are there, with UUIDs.
/// The list ends at the first entry that names none; a device named twice hides all, as the driver does.
pub(crate) fn choose(present: &[(usize, [u8; 16])], wanted: Option<&str>) -> Vec<usize> {
    let Some(wanted) = wanted else { return present.iter().map(|(index, _)| *index).collect() };
    let mut chosen = Vec::new();
    for entry in wanted.split(',') {
        let Some(index) = find(present, entry.trim()) else { break };
        if chosen.contains(&index) {
            return Vec::new();
        }
        chosen.push(index);
    }
    chosen
}

fn find(present: &[(usize, [u8; 16])], entry: &str) -> Option<usize> {
    if let Some(start) = entry.strip_prefix("GPU-") {
        let mut fitting =
            present.iter().filter(|(_, uuid)| !start.is_empty() && uuid_text(uuid).starts_with(start));
        let (index, _) = fitting.next()?;
        return fitting.next().is_none().then_some(*index);
    }
    let digits: String = entry.chars().take_while(char::is_ascii_digit).collect();
    present.get(digits.parse::<usize>().ok()?).map(|(index, _)| *index)
}

/// `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx`.
pub(crate) fn uuid_text(uuid: &[u8; 16]) -> String {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let parts = [&uuid[..4], &uuid[4..6], &uuid[6..8], &uuid[8..10], &uuid[10..]];
    parts.map(hex).join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(wanted: Option<&str>) -> Vec<usize> {
        let uuid = |first: u8| std::array::from_fn(|place| if place == 0 { first } else { 0 });
        choose(&[(0, uuid(0xa0)), (1, uuid(0xa1)), (2, uuid(0xb2))], wanted)
    }

    #[test]
    fn numbers_and_uuids_choose_and_order_devices() {
        assert_eq!(seen(None), [0, 1, 2]);
        assert_eq!(seen(Some("2,0")), [2, 0]);
        assert_eq!(seen(Some(" 1 , GPU-b2")), [1, 2]);
        assert_eq!(seen(Some("GPU-a1000000-0000-0000-0000-000000000000")), [1]);
    }

    #[test]
    fn the_list_ends_where_it_names_nothing() {
        assert_eq!(seen(Some("1,7,0")), [1]);
        assert_eq!(seen(Some("1,GPU-a,0")), [1], "two devices begin like this");
        for nothing in ["", "-1", "none", "NoDevFiles", "0,0"] {
            assert!(seen(Some(nothing)).is_empty(), "{nothing}");
        }
    }
}
