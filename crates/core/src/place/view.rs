//! The cluster as a search sees it, and the same with some nodes imagined otherwise.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::ask::{Ask, GrantPart};
use crate::cluster::Cluster;
use crate::ids::NodeId;
use crate::outlook::Outlook;
use crate::place::find::Among;
use crate::place::mirror::{Hidden, Mirror, Spot};
use crate::place::shape::Shape;
use crate::place::worth::Worth;

/// The cluster in the flat form that a search computes with, and what its room is worth.
#[derive(Debug, Default)]
pub struct Ground {
    pub(super) mirror: Mirror,
    pub(super) worth: Worth,
}

impl Ground {
    /// The cluster as it is, with nothing kept for anybody.
    #[must_use]
    pub fn of(cluster: &Cluster, outlook: &Outlook) -> Self {
        let mut ground = Self::default();
        ground.sync(cluster, Hidden::default(), outlook);
        ground
    }

    /// Takes in what changed since the last time, and what is kept now.
    pub(super) fn sync(&mut self, cluster: &Cluster, hidden: Hidden, outlook: &Outlook) {
        self.mirror.sync(cluster, hidden);
        self.worth.sync(outlook, &self.mirror);
    }
}

/// A ground with some nodes imagined otherwise.
#[derive(Debug, Clone)]
pub struct View<'a> {
    pub(super) ground: &'a Ground,
    pub(super) cluster: &'a Cluster,
    /// Nodes that are imagined otherwise, by their position.
    own: BTreeMap<usize, Spot>,
}

impl<'a> View<'a> {
    /// A ground as it is. The cluster must be the one that the ground was made of.
    #[must_use]
    pub const fn new(ground: &'a Ground, cluster: &'a Cluster) -> Self {
        Self { ground, cluster, own: BTreeMap::new() }
    }

    /// The cluster behind it.
    #[must_use]
    pub const fn cluster(&self) -> &'a Cluster {
        self.cluster
    }

    /// Imagines these nodes so.
    pub(super) fn imagine(&mut self, spots: impl IntoIterator<Item = (usize, Spot)>) {
        self.own.extend(spots);
    }

    /// How many nodes there are.
    pub(super) fn len(&self) -> usize {
        self.ground.mirror.spots.len()
    }

    /// A node, by its position in the order of ids.
    pub(super) fn spot(&self, at: usize) -> &Spot {
        self.own.get(&at).unwrap_or_else(|| &self.ground.mirror.spots[at])
    }

    /// What is seen of a node.
    pub(crate) fn spot_of(&self, node: NodeId) -> Option<&Spot> {
        self.ground.mirror.position(node).map(|at| self.spot(at))
    }

    /// Takes away what a grant holds, on all of its nodes.
    pub fn take(&mut self, parts: &[GrantPart]) {
        for part in parts {
            self.edit(part.node, |spot| spot.take(part));
        }
    }

    /// Puts back what a grant held, on all of its nodes; what is kept for somebody stays out of sight.
    pub fn put_back(&mut self, parts: &[GrantPart]) {
        let cluster = self.cluster;
        for part in parts {
            if let Some(node) = cluster.node(part.node) {
                self.edit(part.node, |spot| spot.put_back(node, part));
            }
        }
    }

    /// Takes what is kept for somebody out of sight.
    pub(crate) fn hide(&mut self, hidden: &Hidden) {
        for &(node, device) in &hidden.devices {
            self.edit(node, |spot| spot.hide(device));
        }
        for &node in &hidden.hosts {
            self.edit(node, Spot::hide_host);
        }
    }

    fn edit(&mut self, node: NodeId, edit: impl FnOnce(&mut Spot)) {
        let mirror = &self.ground.mirror;
        if let Some(at) = mirror.position(node) {
            edit(self.own.entry(at).or_insert_with(|| mirror.spots[at].clone()));
        }
    }

    /// An ask made ready for these nodes.
    pub(crate) fn shape(&self, ask: &Arc<Ask>) -> Shape {
        let mut shape = Shape::of(ask);
        shape.learn(&self.ground.mirror.kinds);
        shape
    }

    /// Whether an ask has a place.
    #[must_use]
    pub fn fits(&self, ask: &Ask) -> bool {
        self.has_place(&self.shape(&Arc::new(ask.clone())), Among::All)
    }
}
