//! The price of room by class of node: where demand that can go nowhere else presses, room costs more.

use std::collections::BTreeMap;

use crate::outlook::Outlook;

use super::Wish;

/// The price of a class whose load is that of all.
pub(super) const EVEN: i64 = 256;
/// The least and the most a class costs.
const BOUNDS: (i128, i128) = (64, 1_024);
/// Rounds of spreading demand; the loads hardly move after twenty.
const ROUNDS: usize = 40;
/// With more classes than bits all cost the same.
const CLASSES_MAX: usize = 128;
/// One, for loads in fixed point.
const FIXED: i128 = 1 << 16;

/// The price of each class of the outlook's supply: its load, if demand spreads as evenly as its limits allow,
/// relative to the load of all. Each round splits the demand that can go to a set of classes in proportion to
/// what is free over the load, which lowers the load of those that got too much.
pub(super) fn prices(outlook: &Outlook) -> Vec<i64> {
    let classes = outlook.supply.len();
    if classes <= 1 || classes > CLASSES_MAX {
        return vec![EVEN; classes];
    }
    let demand = demand(outlook);
    // A little more than there is, so that a class without room has a load too.
    let supply: Vec<i128> = outlook.supply.iter().map(|supply| i128::from(supply.free_milli) + 100).collect();
    let supply_of_all: i128 = supply.iter().sum();
    let demand_of_all: i128 = demand.values().sum::<i128>().max(1);
    let mut load = vec![FIXED; classes];
    for _ in 0..ROUNDS {
        let pull: Vec<i128> = supply.iter().zip(&load).map(|(free, load)| free * FIXED / load).collect();
        let mut got = vec![0; classes];
        for (set, wanted) in &demand {
            let members = || (0..classes).filter(|class| set >> class & 1 == 1);
            let all: i128 = members().map(|class| pull[class]).sum::<i128>().max(1);
            members().for_each(|class| got[class] += wanted * pull[class] / all);
        }
        for class in 0..classes {
            let now = got[class] * supply_of_all * FIXED / (demand_of_all * supply[class]);
            load[class] = (load[class] + now.clamp(FIXED / 256, FIXED * 256)) / 2;
        }
    }
    let price = |load: i128| i64::try_from((load >> 8).clamp(BOUNDS.0, BOUNDS.1)).unwrap_or(EVEN);
    load.into_iter().map(price).collect()
}

/// Demand by the set of classes that can serve it, a bit for each.
fn demand(outlook: &Outlook) -> BTreeMap<u128, i128> {
    let mut demand = BTreeMap::new();
    for (ask, weight) in &outlook.shapes {
        let mut set = 0;
        let mut wanted = 0;
        for (class, supply) in outlook.supply.iter().enumerate() {
            if let Some(wish) = Wish::on(ask, *weight, &supply.class) {
                set |= 1_u128 << class;
                wanted = wanted.max(i128::from(wish.weight) * i128::from(wish.demand()));
            }
        }
        if set != 0 {
            *demand.entry(set).or_default() += wanted;
        }
    }
    demand
}
