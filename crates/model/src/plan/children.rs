//! Children: who is below whom, gathered once for a decision and kept up with what it plans.

use crate::tree::Tree;

/// The number of no part: a tree has far fewer.
const NONE: u32 = u32::MAX;

/// The children of every part, those of failed attempts and extensions that failed aside.
///
/// They are linked through the parts, so that one pass over a tree finds all of them, and one child more costs nothing.
pub(super) struct Children {
    first: Vec<u32>,
    last: Vec<u32>,
    /// The next child of the same parent.
    next: Vec<u32>,
}

impl Children {
    pub(super) fn of(tree: &Tree) -> Self {
        let none = || vec![NONE; tree.parts.len()];
        let mut children = Self { first: none(), last: none(), next: none() };
        for part in &tree.parts {
            let parent = part.parent.filter(|_| !tree.is_left_behind(part));
            if let Some(parent) = parent {
                children.link(parent, part.part);
            }
        }
        children
    }

    /// Takes in the part that has just joined the tree.
    pub(super) fn add(&mut self, parent: Option<u32>) {
        let part = self.next.len() as u32;
        for links in [&mut self.first, &mut self.last, &mut self.next] {
            links.push(NONE);
        }
        if let Some(parent) = parent {
            self.link(parent, part);
        }
    }

    /// Leaves the children of a part behind: they belong to an attempt that failed.
    pub(super) fn leave(&mut self, parent: u32) {
        self.first[parent as usize] = NONE;
        self.last[parent as usize] = NONE;
    }

    /// Leaves one child behind: an extension that failed.
    pub(super) fn leave_one(&mut self, parent: u32, child: u32) {
        let others: Vec<u32> = self.below(parent).filter(|other| *other != child).collect();
        self.leave(parent);
        for other in others {
            self.next[other as usize] = NONE;
            self.link(parent, other);
        }
    }

    /// The children of a part in the order in which they were planned.
    pub(super) fn below(&self, parent: u32) -> impl Iterator<Item = u32> + '_ {
        let some = |part: u32| (part != NONE).then_some(part);
        std::iter::successors(some(self.first[parent as usize]), move |at| some(self.next[*at as usize]))
    }

    fn link(&mut self, parent: u32, part: u32) {
        match self.last[parent as usize] {
            NONE => self.first[parent as usize] = part,
            last => self.next[last as usize] = part,
        }
        self.last[parent as usize] = part;
    }
}
