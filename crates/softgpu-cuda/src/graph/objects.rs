//! User objects: what a program lets graphs keep alive. When the last reference goes, a function of the program
//! is called, by the thread that calls all of them.

use super::GraphPart;
use crate::abi::{Code, Done};
use crate::engine::Dep;
use crate::handle::{GraphHandle, UserObjectHandle};

/// Something of the program, and who refers to it.
#[derive(Debug)]
pub(crate) struct UserObject {
    pub(crate) end: Ending,
    /// References of the program and of graphs together.
    pub(crate) references: u64,
}

/// What is called at the end of an object: a function and its argument.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ending(pub(crate) extern "C" fn(usize), pub(crate) usize);

/// A graph's references to one object.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) object: UserObjectHandle,
    pub(crate) count: u32,
}

impl GraphPart {
    /// Adds references to an object.
    pub(crate) fn retain_object(&mut self, object: UserObjectHandle, count: u32) -> Done {
        let found = self.objects.get_mut(object).map_err(|_| Code::INVALID_VALUE)?;
        found.references += u64::from(count);
        Ok(())
    }

    /// Takes references from an object; at zero its end is due.
    pub(crate) fn release_object(&mut self, object: UserObjectHandle, count: u32) -> Done {
        let found = self.objects.get_mut(object).map_err(|_| Code::INVALID_VALUE)?;
        found.references = found.references.checked_sub(count.into()).ok_or(Code::INVALID_VALUE)?;
        if found.references == 0 {
            let object = self.objects.remove(object)?;
            self.endings.push(object.end);
        }
        Ok(())
    }

    /// Lets a graph refer to an object that has these references already.
    pub(crate) fn keep(&mut self, graph: GraphHandle, kept: Kept) -> Done {
        self.objects.get(kept.object).map_err(|_| Code::INVALID_VALUE)?;
        let list = &mut self.graph_mut(graph)?.kept;
        match list.iter_mut().find(|known| known.object == kept.object) {
            Some(known) => known.count = known.count.checked_add(kept.count).ok_or(Code::INVALID_VALUE)?,
            None => list.push(kept),
        }
        Ok(())
    }

    /// Takes references of a graph.
    pub(crate) fn unkeep(&mut self, graph: GraphHandle, kept: Kept) -> Done {
        let list = &mut self.graph_mut(graph)?.kept;
        let known = list.iter_mut().find(|known| known.object == kept.object).ok_or(Code::INVALID_VALUE)?;
        known.count = known.count.checked_sub(kept.count).ok_or(Code::INVALID_VALUE)?;
        list.retain(|known| known.count > 0);
        self.release_object(kept.object, kept.count)
    }

    /// Somebody else keeps the same.
    pub(crate) fn retain_all<'a>(&mut self, list: impl Iterator<Item = &'a Kept>) {
        for kept in list {
            let _ = self.retain_object(kept.object, kept.count);
        }
    }

    /// Somebody keeps this no more.
    pub(crate) fn release_all(&mut self, list: Vec<Kept>) {
        for kept in list {
            let _ = self.release_object(kept.object, kept.count);
        }
    }

    /// As [`release_all`](Self::release_all), as soon as launches under way are over.
    pub(crate) fn release_after(&mut self, launches: Vec<Dep>, list: Vec<Kept>) {
        if launches.iter().all(|launch| self.is_done(*launch)) {
            self.release_all(list);
        } else if !list.is_empty() {
            self.retired.push((launches, list));
        }
    }

    /// Whether the end of an object is due.
    pub(crate) fn is_ending_due(&self) -> bool {
        let over = |launches: &[Dep]| launches.iter().all(|launch| self.is_done(*launch));
        !self.endings.is_empty() || self.retired.iter().any(|(launches, _)| over(launches))
    }

    /// An object's end that is due, if there is one; it is the caller's to call.
    pub(crate) fn next_ending(&mut self) -> Option<Ending> {
        let over: Vec<usize> = (0..self.retired.len())
            .rev()
            .filter(|place| self.retired[*place].0.iter().all(|launch| self.is_done(*launch)))
            .collect();
        for place in over {
            let (_, list) = self.retired.swap_remove(place);
            self.release_all(list);
        }
        self.endings.pop()
    }
}
