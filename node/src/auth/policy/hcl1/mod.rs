//! A parser for HCL1, the notation of Vault's policies: `key = value`, blocks with quoted labels, lists, heredocs and
//! three kinds of comments. Syntax only: nothing is evaluated, `${..}` is text like any other.
//!
//! It is stricter than the original in two places where that one is lax by accident: a list needs commas between all its
//! elements, and escapes that make invalid UTF-8 are refused. It never panics and its work is bounded by
//! [`document`](super::document)'s limits.

mod lexer;
#[cfg(test)]
mod tests;

use std::fmt;

use self::lexer::{Lexer, Token};
use super::document::{Budget, Item, Position, Value};

/// What is wrong with the text, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct SyntaxError {
    position: Position,
    message: String,
}

impl SyntaxError {
    fn at(position: Position, message: impl Into<String>) -> Self {
        Self {
            position,
            message: message.into(),
        }
    }
}

impl fmt::Display for SyntaxError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "At {}: {}", self.position, self.message)
    }
}

/// The items of a whole document.
///
/// # Errors
/// [`SyntaxError`] with line and column.
pub fn parse(text: &str) -> Result<Vec<Item>, SyntaxError> {
    // The lexer knows one kind of line end; a lone carriage return stays, as white space.
    let text = text.replace("\r\n", "\n");
    let mut lexer = Lexer::new(&text);
    let (token, position) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        position,
        budget: Budget::default(),
    };
    let items = parser.items()?;
    match parser.token {
        Token::End => Ok(items),
        _ => Err(parser.unexpected("a key")),
    }
}

/// Looks one token ahead.
struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    position: Position,
    budget: Budget,
}

impl Parser<'_> {
    /// Items up to the first token that begins none. A comma may follow each.
    fn items(&mut self) -> Result<Vec<Item>, SyntaxError> {
        let mut items = Vec::new();
        while matches!(self.token, Token::Identifier(_) | Token::Text(_)) {
            items.push(self.item()?);
            if self.token == Token::Comma {
                self.advance()?;
            }
        }
        Ok(items)
    }

    fn item(&mut self) -> Result<Item, SyntaxError> {
        let position = self.position;
        let mut keys = Vec::new();
        while let Token::Identifier(key) | Token::Text(key) = &mut self.token {
            keys.push(std::mem::take(key));
            self.count()?;
            self.advance()?;
        }
        let value = match self.token {
            Token::LeftBrace => self.object()?,
            Token::Assign if keys.len() == 1 => {
                self.advance()?;
                self.value()?
            }
            _ => {
                let wanted = format!("'{{' or '=' after key '{}'", keys.join(" "));
                return Err(self.unexpected(&wanted));
            }
        };
        Ok(Item {
            keys,
            position: Some(position),
            value,
        })
    }

    fn value(&mut self) -> Result<Value, SyntaxError> {
        match self.token {
            Token::LeftBrace => return self.object(),
            Token::LeftBracket => return self.list(),
            _ => {}
        }
        self.count()?;
        let value = match &mut self.token {
            Token::Text(text) => Value::Text(std::mem::take(text)),
            Token::Integer(number) => Value::Integer(*number),
            Token::Float(number) => Value::Float(*number),
            Token::Bool(flag) => Value::Bool(*flag),
            _ => return Err(self.unexpected("a value")),
        };
        self.advance()?;
        Ok(value)
    }

    fn object(&mut self) -> Result<Value, SyntaxError> {
        self.enter()?;
        let items = self.items()?;
        if self.token != Token::RightBrace {
            return Err(self.unexpected("a key or '}'"));
        }
        self.leave()?;
        Ok(Value::Object(items))
    }

    fn list(&mut self) -> Result<Value, SyntaxError> {
        self.enter()?;
        let mut values = Vec::new();
        while self.token != Token::RightBracket {
            values.push(self.value()?);
            match self.token {
                Token::Comma => self.advance()?,
                Token::RightBracket => {}
                _ => return Err(self.unexpected("',' or ']' in a list")),
            }
        }
        self.leave()?;
        Ok(Value::List(values))
    }

    /// Takes an opening bracket of either kind.
    fn enter(&mut self) -> Result<(), SyntaxError> {
        self.count()?;
        self.budget
            .enter()
            .map_err(|message| SyntaxError::at(self.position, message))?;
        self.advance()
    }

    /// Takes a closing bracket of either kind.
    fn leave(&mut self) -> Result<(), SyntaxError> {
        self.budget.leave();
        self.advance()
    }

    fn count(&mut self) -> Result<(), SyntaxError> {
        self.budget
            .value()
            .map_err(|message| SyntaxError::at(self.position, message))
    }

    /// Looks at the next token.
    fn advance(&mut self) -> Result<(), SyntaxError> {
        (self.token, self.position) = self.lexer.next()?;
        Ok(())
    }

    fn unexpected(&self, wanted: &str) -> SyntaxError {
        let got = self.token.describe();
        SyntaxError::at(self.position, format!("expected {wanted}, got {got}"))
    }
}
