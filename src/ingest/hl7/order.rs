//! Messages about the same patient one after the other, in the order in which they came; about others at the same
//! time. A turn is taken when a message is read and given back when it is stored: no two turns wait for each other,
//! since each waits only for those taken before it.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::message::{Message, Segment};
use super::{Channel, message};

/// Who is at work on whom.
#[derive(Clone, Default)]
pub struct Order(Arc<Mutex<Book>>);

#[derive(Default)]
struct Book {
    next: u64,
    /// The turn that was taken last for each key.
    last: HashMap<String, (u64, CancellationToken)>,
}

/// A place in the order of some patients' messages; given back when dropped.
pub struct Turn {
    order: Order,
    number: u64,
    keys: BTreeSet<String>,
    before: Vec<CancellationToken>,
    over: CancellationToken,
}

impl Order {
    /// Takes a place behind all that have one of these keys.
    pub fn take(&self, keys: BTreeSet<String>) -> Turn {
        let (over, mut book) = (CancellationToken::new(), self.book());
        let number = book.next;
        book.next += 1;
        let mut before = Vec::new();
        for key in &keys {
            before.extend(book.last.insert(key.clone(), (number, over.clone())).map(|(_, over)| over));
        }
        drop(book);
        Turn { order: self.clone(), number, keys, before, over }
    }

    /// It is over: nobody has to wait for it any more.
    fn give_back(&self, number: u64, keys: &BTreeSet<String>, over: &CancellationToken) {
        let mut book = self.book();
        for key in keys {
            if book.last.get(key).is_some_and(|(last, _)| *last == number) {
                book.last.remove(key);
            }
        }
        drop(book);
        over.cancel();
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Turn {
    /// Waits until everybody before is done.
    pub async fn comes(&self) {
        wait(&self.before).await;
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let (order, number, over) = (self.order.clone(), self.number, self.over.clone());
        let (keys, before) = (std::mem::take(&mut self.keys), std::mem::take(&mut self.before));
        match Handle::try_current() {
            // Given up before it came: those behind still wait for those before.
            Ok(runtime) if !before.iter().all(CancellationToken::is_cancelled) => {
                runtime.spawn(async move {
                    wait(&before).await;
                    order.give_back(number, &keys, &over);
                });
            }
            _ => order.give_back(number, &keys, &over),
        }
    }
}

async fn wait(before: &[CancellationToken]) {
    for turn in before {
        turn.cancelled().await;
    }
}

/// Whom a message is about: every number that PID and MRG give a patient, whoever gave it. A message about nobody is
/// kept in the order of its sender; one that cannot be read needs none.
pub fn keys(bytes: &[u8], channel: &Channel) -> BTreeSet<String> {
    let Ok(message) = message::parse_as(bytes, channel.charset) else { return BTreeSet::new() };
    let found: BTreeSet<String> = message.named(&["PID", "MRG"]).flat_map(|segment| numbers(&segment)).collect();
    if found.is_empty() { [sender(&message)].into() } else { found }
}

fn numbers(segment: &Segment<'_>) -> Vec<String> {
    let fields: &[usize] = if segment.name == "PID" { &[2, 3, 4, 18] } else { &[1, 2, 3, 4] };
    let all = fields.iter().flat_map(|field| segment.repetitions(*field)).map(|cx| cx.text(1));
    all.filter(|number| !number.is_empty()).collect()
}

fn sender(message: &Message) -> String {
    let header = message.header();
    // No number of a patient has a line end in it.
    format!("\r{}\r{}", header.sending_application, header.sending_facility)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::task::Poll;

    fn turn(order: &Order, keys: &[&str]) -> Turn {
        order.take(keys.iter().map(|key| (*key).to_owned()).collect())
    }

    fn is_its(turn: &Turn) -> bool {
        let mut comes = std::pin::pin!(turn.comes());
        comes.as_mut().poll(&mut std::task::Context::from_waker(std::task::Waker::noop())) == Poll::Ready(())
    }

    #[tokio::test]
    async fn turns_come_in_the_order_in_which_they_were_taken() {
        let order = Order::default();
        let (first, other, second) = (turn(&order, &["a"]), turn(&order, &["b"]), turn(&order, &["a"]));
        let (both, last) = (turn(&order, &["a", "b"]), turn(&order, &["b"]));
        assert!(is_its(&first) && is_its(&other) && !is_its(&second));
        drop(first);
        assert!(is_its(&second) && !is_its(&both));
        drop(second);
        assert!(!is_its(&both), "the merge waits for both");
        drop(other);
        assert!(is_its(&both) && !is_its(&last));
        drop(both);
        assert!(is_its(&last));
        let after = turn(&order, &["b"]);
        drop(last);
        assert!(is_its(&after));
        drop(after);
        assert!(order.book().last.is_empty(), "nothing is left behind");
    }

    #[tokio::test]
    async fn who_gives_up_lets_nobody_overtake() {
        let order = Order::default();
        let (first, impatient, third) = (turn(&order, &["a"]), turn(&order, &["a"]), turn(&order, &["a"]));
        drop(impatient);
        assert!(!is_its(&third));
        drop(first);
        third.comes().await;
        drop(third);
        assert!(order.book().last.is_empty());
    }

    #[test]
    fn whom_a_message_is_about() {
        let head = "MSH|^~\\&|MON|ICU|||2026||ADT^A40|1|P|2.6\r";
        let table = [
            ("PID|||7^^^A~8^^^B||\rMRG|9", vec!["7", "8", "9"]),
            ("PID||6|||DOE|||||||||||||5", vec!["5", "6"]),
            ("PID|||\"\"", vec!["\rMON\rICU"]),
            ("OBX|1", vec!["\rMON\rICU"]),
        ];
        for (body, want) in table {
            let found = keys(format!("{head}{body}\r").as_bytes(), &Channel::default());
            assert_eq!(found.iter().map(String::as_str).collect::<Vec<_>>(), want, "{body}");
        }
        assert!(keys(b"hello", &Channel::default()).is_empty());
    }
}
