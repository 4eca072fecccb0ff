//! One attempt of one task: runs the handler with its deadline, and turns whatever happens into a result.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio_util::sync::CancellationToken;

use super::offer::Offer;
use super::{Context, Stop};
use crate::wire::{Task, TaskResult};

/// Longest message that goes to the server; it cuts there too.
const MAX_MESSAGE_CHARS: usize = 2000;

/// Runs the handler of `task` to its end, its panic, or its deadline.
pub(crate) async fn attempt(
    offer: Option<Arc<dyn Offer>>,
    task: Task,
    environment: Arc<str>,
    cancelled: CancellationToken,
) -> TaskResult {
    let task = Arc::new(task);
    let (id, number) = (&task.id, task.attempt);
    let Some(offer) = offer else {
        let message = format!("this supplier does not publish `{}`", task.capability);
        return TaskResult::failed(id, number, true, "unknown_capability", message);
    };
    let cx = Context::new(Arc::clone(&task), environment, cancelled);
    let deadline = Duration::from_millis(task.deadline_ms);
    // The handler is made inside the guarded future: making it may panic as well as running it.
    let answering = async { offer.answer(&cx, &task).await };
    let ended = tokio::time::timeout(deadline, AssertUnwindSafe(answering).catch_unwind()).await;
    let mut result = match ended {
        Ok(Ok(Ok(result))) => result,
        Ok(Ok(Err(stop))) => stop.into_result(id, number),
        Ok(Err(panic)) => {
            let message = panic_message(&*panic);
            tracing::error!(task = %id, capability = task.capability, message, "a handler panicked");
            Stop::retry("panicked", format!("the handler panicked: {message}")).into_result(id, number)
        }
        Err(_) => {
            let message = format!("no answer within {} ms; the handler was dropped", task.deadline_ms);
            Stop::retry("timeout", message).into_result(id, number)
        }
    };
    cut(&mut result);
    result
}

fn panic_message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

fn cut(result: &mut TaskResult) {
    if let Some(message) = &mut result.message
        && let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS)
    {
        message.truncate(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::DynamicCapability;
    use serde_json::{Value, json};

    async fn result_of(capability: DynamicCapability, extra: &Value) -> Value {
        let mut task = json!({"id":"task_1","attempt":2,"operation":"produce","capability":"x","dataset_id":"ds_1",
            "input":{"n":1},"seed":7,"unique":"abc","idempotency_key":"ds_1","deadline_ms":60000});
        task.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        let task = serde_json::from_value(task).unwrap();
        let result =
            attempt(Some(Arc::new(capability)), task, "default".into(), CancellationToken::new()).await;
        serde_json::to_value(result).unwrap()
    }

    #[tokio::test]
    async fn an_answer_is_a_done_result() {
        let echo = DynamicCapability::new("x", |_, input| async move { Ok(input) });
        let result = result_of(echo, &json!({})).await;
        assert_eq!(result, json!({"task_id":"task_1","attempt":2,"outcome":"done","output":{"n":1}}));
    }

    #[tokio::test]
    async fn a_panic_is_a_retryable_failure() {
        let angry = DynamicCapability::new("x", |_, _| async { panic!("no {}", "way") });
        let result = result_of(angry, &json!({})).await;
        assert_eq!((&result["code"], &result["retryable"]), (&json!("panicked"), &json!(true)));
        assert_eq!(result["message"], "the handler panicked: no way");
    }

    #[tokio::test]
    async fn a_panic_before_the_first_await_is_caught_too() {
        let eager = DynamicCapability::new("x", |_, _| -> std::future::Ready<Result<Value, Stop>> {
            panic!("early")
        });
        assert_eq!(result_of(eager, &json!({})).await["code"], "panicked");
    }

    #[tokio::test]
    async fn a_handler_past_its_deadline_is_dropped() {
        let (alive, dropped) = tokio::sync::oneshot::channel::<()>();
        let alive = std::sync::Mutex::new(Some(alive));
        let slow = DynamicCapability::new("x", move |_, _| {
            let alive = alive.lock().unwrap().take();
            async move {
                std::future::pending::<()>().await;
                drop(alive);
                Ok(json!({}))
            }
        });
        let result = result_of(slow, &json!({"deadline_ms":1})).await;
        assert_eq!((&result["code"], &result["retryable"]), (&json!("timeout"), &json!(true)));
        assert!(dropped.await.is_err(), "the handler's future is gone");
    }

    #[tokio::test]
    async fn undo_without_output_reaches_the_handler() {
        let capability = DynamicCapability::new("x", |_, _| async { Ok(json!({})) }).with_undo(
            |cx, _, output| async move {
                assert_eq!((output, cx.idempotency_key()), (None, "ds_1"));
                Ok(())
            },
        );
        let result = result_of(capability, &json!({"operation":"undo"})).await;
        assert_eq!(result, json!({"task_id":"task_1","attempt":2,"outcome":"done"}));
    }

    #[tokio::test]
    async fn a_long_message_is_cut_at_a_character() {
        let wordy =
            DynamicCapability::new("x", |cx, _| async move { Err(cx.reject("no", "ü".repeat(3000))) });
        let result = result_of(wordy, &json!({})).await;
        assert_eq!(result["message"].as_str().unwrap().chars().count(), MAX_MESSAGE_CHARS);
    }
}
