//! One row: its steps one after the other, and what it left open closed at its end.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use berth::{Call, Client, Context, Error, Events, OpenOptions, Reply};
use serde_json::Value as Json;

use crate::common::block_on_for;
use crate::{expect, value};

const LONGEST: Duration = Duration::from_secs(60);

/// Who reads the answers of futures, and the events.
pub enum Way {
    Thread,
    #[cfg(feature = "tokio")]
    Tokio(tokio::runtime::Handle),
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Way::Thread => f.write_str("Rust, futures read by a thread"),
            #[cfg(feature = "tokio")]
            Way::Tokio(_) => f.write_str("Rust, futures read by a task of tokio's"),
        }
    }
}

pub struct Failure {
    pub step: usize,
    pub what: String,
}

struct Row<'a> {
    client: &'a Client,
    way: &'a Way,
    module: &'a str,
    contexts: HashMap<String, Context>,
    calls: HashMap<String, Call>,
    events: HashMap<(String, String), Events>,
}

pub fn run(client: &Client, way: &Way, row: &Json) -> Result<(), Failure> {
    let module = row["module"].as_str().unwrap_or_default();
    let (contexts, calls, events) = (HashMap::new(), HashMap::new(), HashMap::new());
    let mut running = Row {
        client,
        way,
        module,
        contexts,
        calls,
        events,
    };
    let mut result = Ok(());
    for (step, what) in row["steps"].as_array().into_iter().flatten().enumerate() {
        if let Err(what) = running.step(what) {
            result = Err(Failure { step, what });
            break;
        }
    }
    drop((running.calls, running.events));
    for (_, context) in running.contexts {
        let _ = context.close();
    }
    result
}

fn allowed(operation: &str) -> Option<&'static [&'static str]> {
    Some(match operation {
        "open" => &["as", "module", "input", "max_in_flight", "expect"],
        "call" => &["on", "method", "input", "timeout_ms", "expect"],
        "submit" => &["on", "id", "method", "input"],
        "wait" => &["on", "id", "expect"],
        "cancel" => &["on", "id"],
        "listen" | "unlisten" => &["on", "event"],
        "events" => &["on", "event", "count", "expect"],
        "static" => &["module", "method", "input", "timeout_ms", "expect"],
        "close" => &["on", "expect"],
        _ => return None,
    })
}

fn text<'a>(step: &'a Json, key: &str) -> Result<&'a str, String> {
    step.get(key)
        .and_then(Json::as_str)
        .ok_or_else(|| format!("no text {key:?}"))
}

fn number(step: &Json, key: &str) -> Result<Option<u64>, String> {
    step.get(key)
        .map(|value| value.as_u64().ok_or_else(|| format!("{key:?} is no number")))
        .transpose()
}

fn owned(ended: berth::Result<Reply>) -> expect::Ended {
    ended.map(Vec::from)
}

impl Row<'_> {
    fn step(&mut self, step: &Json) -> Result<(), String> {
        let map = step.as_object().ok_or("a step is a map")?;
        let operation = text(step, "do")?;
        let allowed = allowed(operation).ok_or_else(|| format!("an operation {operation:?}, not known"))?;
        if let Some(key) = map.keys().find(|key| *key != "do" && !allowed.contains(&&key[..])) {
            return Err(format!("a key {key:?}, which this runner does not know"));
        }
        match operation {
            "open" => self.open(step),
            "call" => self.call(step),
            "submit" => self.submit(step),
            "wait" => self.wait(step),
            "cancel" => self.cancel(step),
            "listen" => self.listen(step),
            "unlisten" => self.unlisten(step),
            "events" => self.take_events(step),
            "static" => self.call_static(step),
            _ => self.close(step),
        }
    }

    fn on(step: &Json) -> String {
        step.get("on").and_then(Json::as_str).unwrap_or_default().to_owned()
    }

    fn context(&self, step: &Json) -> Result<&Context, String> {
        self.contexts
            .get(&Row::on(step))
            .ok_or_else(|| "no such context is open".into())
    }

    fn module_of(&self, step: &Json) -> Result<String, String> {
        Ok(step
            .get("module")
            .map_or(Ok(self.module), |_| text(step, "module"))?
            .to_owned())
    }

    fn timeout(step: &Json) -> Result<Duration, String> {
        Ok(number(step, "timeout_ms")?.map_or(LONGEST, Duration::from_millis))
    }

    fn open(&mut self, step: &Json) -> Result<(), String> {
        let mut options = OpenOptions::new().timeout(LONGEST);
        if let Some(most) = number(step, "max_in_flight")? {
            options = options.max_in_flight(u32::try_from(most).map_err(|_| "max_in_flight is too large")?);
        }
        let input = value::input(step.get("input"))?;
        let opened = options.open(self.client, &self.module_of(step)?, &input);
        match opened {
            Ok(context) => {
                self.attach(&context)?;
                let name = step.get("as").and_then(Json::as_str).unwrap_or_default();
                self.contexts.insert(name.to_owned(), context);
                expect::check(step.get("expect"), &Ok(b"\xf6".to_vec()), None)
            }
            Err(error) => expect::check(step.get("expect"), &Err(error), None),
        }
    }

    fn attach(&self, _context: &Context) -> Result<(), String> {
        match self.way {
            Way::Thread => Ok(()),
            #[cfg(feature = "tokio")]
            Way::Tokio(runtime) => {
                let _entered = runtime.enter();
                _context.attach_tokio().map_err(|error| error.to_string())
            }
        }
    }

    fn call(&mut self, step: &Json) -> Result<(), String> {
        let (method, input) = (text(step, "method")?, value::input(step.get("input"))?);
        let ended = self.context(step)?.call_timeout(method, &input, Row::timeout(step)?);
        expect::check(step.get("expect"), &owned(ended), None)
    }

    fn submit(&mut self, step: &Json) -> Result<(), String> {
        let (id, method, input) = (
            text(step, "id")?,
            text(step, "method")?,
            value::input(step.get("input"))?,
        );
        let call = self.context(step)?.call_async(method, &input);
        match self.calls.insert(id.to_owned(), call) {
            None => Ok(()),
            Some(_) => Err(format!("a second request {id:?}")),
        }
    }

    fn wait(&mut self, step: &Json) -> Result<(), String> {
        let call = self.calls.remove(text(step, "id")?).ok_or("no such request")?;
        let ended = block_on_for(LONGEST, call).ok_or("no answer in 60 s")?;
        expect::check(step.get("expect"), &owned(ended), None)
    }

    fn cancel(&mut self, step: &Json) -> Result<(), String> {
        self.calls.get(text(step, "id")?).ok_or("no such request")?.cancel();
        Ok(())
    }

    fn listen(&mut self, step: &Json) -> Result<(), String> {
        let event = text(step, "event")?;
        let events = self
            .context(step)?
            .events_with_capacity(event, 1 << 20)
            .map_err(|error| error.to_string())?;
        self.events.insert((Row::on(step), event.to_owned()), events);
        Ok(())
    }

    fn unlisten(&mut self, step: &Json) -> Result<(), String> {
        let key = (Row::on(step), text(step, "event")?.to_owned());
        self.events
            .remove(&key)
            .map(drop)
            .ok_or_else(|| "nobody listens".into())
    }

    fn take_events(&mut self, step: &Json) -> Result<(), String> {
        let key = (Row::on(step), text(step, "event")?.to_owned());
        let events = self.events.get_mut(&key).ok_or("nobody listens")?;
        let count = number(step, "count")?.ok_or("no count")? as usize;
        let expect = step.get("expect").ok_or("no expect")?;
        if expect.as_array().map_or(false, |list| list.len() != count) {
            return Err("a list of another length than count".into());
        }
        for at in 0..count {
            let event = block_on_for(LONGEST, events.next()).ok_or_else(|| format!("no event {at} in 60 s"))?;
            let event = event.ok_or_else(|| format!("no event {at}: the stream is over"))?;
            let expect = expect.as_array().map_or(expect, |list| &list[at]);
            expect::check(Some(expect), &event, Some(at as u32)).map_err(|what| format!("event {at}: {what}"))?;
        }
        Ok(())
    }

    fn call_static(&mut self, step: &Json) -> Result<(), String> {
        let (method, input) = (text(step, "method")?, value::input(step.get("input"))?);
        let timeout = Some(Row::timeout(step)?);
        let ended = self.client.call_static(&self.module_of(step)?, method, &input, timeout);
        expect::check(step.get("expect"), &owned(ended), None)
    }

    fn close(&mut self, step: &Json) -> Result<(), String> {
        let context = self.contexts.remove(&Row::on(step)).ok_or("no such context is open")?;
        let closed = block_on_for(LONGEST, context.close_async()).unwrap_or(Err(Error::Timeout));
        expect::check_close(step.get("expect"), &closed)
    }
}
