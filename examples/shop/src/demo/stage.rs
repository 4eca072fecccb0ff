//! The stage: what is printed of each act, for people or for a program.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use serde_json::{Value, json};

/// Numbered acts.
const ACTS: u32 = 8;

/// One act before it is played.
pub(super) struct Act {
    /// 1 to 8; nothing for what is shown besides.
    pub(super) number: Option<u8>,
    /// For programs.
    pub(super) name: &'static str,
    /// For people.
    pub(super) headline: &'static str,
    /// What to look at.
    pub(super) watch: &'static str,
    /// What makes it hold.
    pub(super) expected: &'static str,
}

/// One act after it was played.
pub(super) struct Shown {
    act: &'static Act,
    outcome: Result<Value, String>,
}

impl Shown {
    /// Whether all was as expected.
    pub(super) fn held(&self) -> bool {
        self.outcome.is_ok()
    }

    fn json(&self) -> Value {
        let Act { number, name, expected, .. } = self.act;
        let mut shown = json!({ "act": number, "name": name, "held": self.held(), "expected": expected });
        match &self.outcome {
            Ok(evidence) => shown["evidence"] = evidence.clone(),
            Err(why) => shown["why"] = json!(why),
        }
        shown
    }
}

/// Where acts are shown.
pub(super) struct Stage {
    for_program: bool,
    bold: bool,
}

impl Stage {
    /// For people on standard output; for a program one object at the end.
    pub(super) fn new(for_program: bool) -> Self {
        let bold = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
        Self { for_program, bold }
    }

    /// Whether other programs may print to our output.
    pub(super) fn is_for_people(&self) -> bool {
        !self.for_program
    }

    /// Tells people something.
    pub(super) fn say(&self, text: impl AsRef<str>) {
        if !self.for_program {
            // Whoever closed the output does not want to be told.
            let _ = writeln!(std::io::stdout(), "{}", text.as_ref());
        }
    }

    /// Tells people something whoever reads the output.
    pub(super) fn complain(&self, text: impl AsRef<str>) {
        let _ = writeln!(std::io::stderr(), "{}", text.as_ref());
    }

    /// Plays an act: an error is why it did not hold.
    pub(super) async fn play(
        &self,
        act: &'static Act,
        scene: impl Future<Output = anyhow::Result<Value>>,
    ) -> Shown {
        let place = act.number.map_or_else(|| "Also".to_owned(), |number| format!("Act {number} of {ACTS}"));
        self.say(format!("\n{}", self.strong(&format!("{place}: {}", act.headline))));
        self.say(format!("{}\n", act.watch));
        let outcome = scene.await.map_err(|error| format!("{error:#}"));
        match &outcome {
            Ok(_) => self.say(format!("\n✓ {}", act.expected)),
            Err(why) => self.say(format!("\n✗ expected: {}\n  but: {why}", act.expected)),
        }
        Shown { act, outcome }
    }

    /// The last word.
    pub(super) fn end(&self, acts: &[Shown], also: &[Shown]) -> anyhow::Result<()> {
        let held = acts.iter().chain(also).all(Shown::held);
        if self.for_program {
            let list = |shown: &[Shown]| shown.iter().map(Shown::json).collect::<Vec<_>>();
            let object = json!({ "held": held, "acts": list(acts), "also": list(also) });
            return writeln!(std::io::stdout(), "{object}").context("cannot print the result");
        }
        let count = acts.iter().filter(|shown| shown.held()).count();
        let besides = match (also.len(), also.iter().filter(|shown| shown.held()).count()) {
            (0, _) => String::new(),
            (all, held) => format!(", and {held} of {all} shown besides"),
        };
        self.say(format!("\n{}", self.strong(&format!("{count} of {} acts held{besides}.", acts.len()))));
        Ok(())
    }

    fn strong(&self, text: &str) -> String {
        if self.bold { format!("\u{1b}[1m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}
