//! Paths with `{{identity.entity.id}}` and the like, which mean another path for each caller.

/// A path whose directives are not filled in yet.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Template {
    /// Before the first directive.
    head: String,
    /// Each directive, and the text between it and the next.
    rest: Vec<(String, String)>,
}

impl Template {
    /// Takes a path apart; `None` when it holds no directive.
    ///
    /// # Errors
    /// A sentence for the user when the braces do not pair up.
    pub fn parse(path: &str) -> Result<Option<Self>, String> {
        let unbalanced =
            || "failed to validate policy templating: unbalanced templating characters".to_owned();
        let mut pieces = path.split("{{");
        let head = pieces.next().unwrap_or("");
        if head.contains("}}") {
            return Err(unbalanced());
        }
        let rest = pieces
            .map(|piece| match piece.split_once("}}") {
                Some((directive, text)) if !text.contains("}}") => {
                    Ok((directive.trim().to_owned(), text.to_owned()))
                }
                _ => Err(unbalanced()),
            })
            .collect::<Result<Vec<_>, String>>()?;
        Ok((!rest.is_empty()).then(|| Self {
            head: head.to_owned(),
            rest,
        }))
    }

    /// The path for one caller, whose `value` of a directive is asked for by its text. `None` when there is no value for
    /// one of them, or one that would mean more than one name: users choose some of these values themselves, and must not
    /// be able to widen a rule by them.
    pub fn fill(&self, value: &dyn Fn(&str) -> Option<String>) -> Option<String> {
        let mut path = self.head.clone();
        for (directive, text) in &self.rest {
            let value = value(directive)?;
            if value.is_empty() || value.contains(['/', '*', '+']) {
                return None;
            }
            path.push_str(&value);
            path.push_str(text);
        }
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(path: &str, value: &str) -> Option<String> {
        let template = Template::parse(path).unwrap().expect("a template");
        template.fill(&|directive| (directive == "identity.entity.id").then(|| value.to_owned()))
    }

    #[test]
    fn directives_are_filled_in() {
        assert_eq!(
            fill("a/{{identity.entity.id}}/b/{{ identity.entity.id }}*", "e1").as_deref(),
            Some("a/e1/b/e1*")
        );
        assert_eq!(fill("a/{{identity.entity.name}}", "e1"), None);
        assert_eq!(Template::parse("a/b"), Ok(None));
    }

    #[test]
    fn values_cannot_widen_a_rule() {
        for value in ["", "*", "a/b", "+", "a*"] {
            assert_eq!(fill("a/{{identity.entity.id}}", value), None, "{value:?}");
        }
    }

    #[test]
    fn braces_must_pair_up() {
        for path in ["{{a", "a}}", "{{a}}}}", "{{a}} }} {{b}}", "{{ {{a}} }}"] {
            assert!(Template::parse(path).is_err(), "{path}");
        }
    }
}
