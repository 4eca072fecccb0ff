//! Sizes: a decision looks at the parts of a tree, not at pairs of them.

use super::*;

/// Looks at parts, and look-ups of contracts, for each part of a tree. What a decision needs is some dozens at most; a
/// single place that looked at all parts for each part would need thousands.
const LOOKS: usize = 100;

/// A loop over a thousand nested scenarios of some steps each, in which the last step needs the first.
fn landscape(steps: usize) -> Landscape {
    let first: String = (1..steps)
        .map(|step| format!("  step_{step}: {{ uses: a/a, with: {{ n: \"${{{{ input.n }}}}\" }} }}\n"))
        .collect();
    let inner = format!(
        "scenario: a/inner\nowner: {{ team: A }}\ntimeout_s: 100\ninput: {{ type: object }}\nsteps:\n{first}  \
         last: {{ uses: a/a, with: {{ of: \"${{{{ steps.step_1.id }}}}\" }} }}\noutput: {{ id: \"${{{{ steps.last.id }}}}\" }}\n"
    );
    let outer = "scenario: a/outer\nowner: { team: A }\ninput: { type: object }\nsteps:\n  \
                 many: { uses: a/inner, for_each: input.values, with: { n: \"${{ each.value }}\" }, retry: { max_attempts: 2 } }\n  \
                 sum:  { uses: a/a, with: { all: \"${{ steps.many }}\" } }\n\
                 output: { all: \"${{ steps.many }}\" }\n";
    Landscape::default().capability("a/a", MAKE_AND_UNDO).scenario(&inner).scenario(outer)
}

/// A tree in some state, and what is counted of one decision about it.
struct Size {
    scene: Scene,
    counted: Vec<(&'static str, usize)>,
}

impl Size {
    fn of(steps: usize) -> Self {
        let values: Vec<usize> = (0..1_000).collect();
        let landscape = landscape(steps);
        let world = World { versions: &landscape, now: start(), chance: 0.5 };
        let new = new_tree(&landscape, "a/outer", json!({ "values": values }));
        let plan = Plan::begun(new.clone(), world);
        let counted = vec![("the beginning", plan.looks.get() + landscape.looks.get())];
        Self { scene: Scene::begin_with(landscape, new), counted }
    }

    /// Decides as `decide` does, and counts.
    fn happen(&mut self, name: &'static str, happened: Happened) {
        let scene = &mut self.scene;
        scene.landscape.looks.set(0);
        let world = World { versions: &scene.landscape, now: scene.now, chance: 0.5 };
        let mut plan = Plan::of(scene.tree.clone(), scene.tree.parts.len(), world);
        plan.happen(happened);
        let looks = plan.looks.get() + scene.landscape.looks.get();
        self.counted.push((name, looks));
        let change = plan.into_change();
        scene.take(change);
    }

    fn answer(&mut self, name: &'static str, part: u32, answer: Answer) {
        let attempt = self.scene.attempt_at(part);
        self.happen(name, Happened::Answered { attempt, session: SessionId(Uuid::nil()), by: by(), answer });
    }

    /// Everything that is asked for was done, as if it had been answered before: the next decision finds it so.
    fn done_before(&mut self, but: u32) {
        for (part, _) in self.scene.open.clone().into_iter().filter(|(part, _)| *part != but) {
            let made = self.scene.tree.made + 1;
            self.scene.tree.made = made;
            let node = &mut self.scene.tree.parts[part as usize];
            node.task = None;
            node.output = Some(Arc::new(json!({ "id": format!("made {part}") })));
            node.made = Some(made);
            node.status = PartStatus::Ready;
            self.scene.open.remove(&part);
        }
    }

    fn first_open(&self) -> u32 {
        *self.scene.open.keys().next().expect("something is asked for")
    }
}

fn made() -> Answer {
    Answer::Produced { output: json!({ "id": "made" }), facts: None }
}

#[test]
fn a_decision_looks_at_parts_and_not_at_pairs_of_parts() {
    for steps in [4, 8] {
        let mut size = Size::of(steps);
        size.answer("an answer at the beginning", 2, made());
        size.answer("a failure that may pass", size.first_open(), no(true));
        let fresh = (size.scene.tree.clone(), size.scene.open.clone());
        size.done_before(size.first_open());
        size.answer("many scenarios go on at once", size.first_open(), made());
        size.done_before(size.first_open());
        size.answer("all scenarios of a loop are made", size.first_open(), made());
        size.answer("the last answer", size.first_open(), made());
        assert_eq!(size.scene.status(""), PartStatus::Ready);
        size.happen("the lease ends", Happened::LeaseEnded { keep: false });
        size.answer("something is undone", size.first_open(), Answer::Undone);
        (size.scene.tree, size.scene.open) = fresh.clone();
        size.happen("nobody wants it", Happened::Unwanted);
        (size.scene.tree, size.scene.open) = fresh;
        size.scene.pass_ms(100_000);
        size.happen("all scenarios of a loop are out of time", Happened::Due { open: Vec::new() });
        assert_eq!(size.scene.part("many[999]").failed_attempts, 1);
        let parts = size.scene.tree.parts.len();
        assert_eq!(parts, 2 + 1_000 * steps, "of all but the first the last step has not begun");
        for (name, looks) in &size.counted {
            assert!(*looks <= LOOKS * parts, "{name}: {looks} looks at {parts} parts");
        }
    }
}
