//! Lets the plugin's synchronous workflows wait without holding a thread, as the component does.
//!
//! A workflow that runs as a component waits on a fibre of wasmtime, and its thread continues with
//! other calls. On threads of its own, the native baseline would pay for context switches. The component has none, so
//! the comparison would flatter it. So it runs on a coroutine with its own stack too, and stacks are reused.

use std::cell::RefCell;
use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use corosensei::stack::DefaultStack;
use corosensei::{Coroutine, CoroutineResult, Yielder};
use parking_lot::Mutex;

/// Size of one stack in bytes; only touched pages become memory.
const STACK: usize = 1 << 20;

/// Stacks that are free for the next coroutine.
#[derive(Default)]
pub struct Stacks(Mutex<Vec<DefaultStack>>);

impl Stacks {
    fn take(&self) -> io::Result<DefaultStack> {
        let free = self.0.lock().pop();
        match free {
            Some(stack) => Ok(stack),
            None => DefaultStack::new(STACK),
        }
    }

    fn put(&self, stack: DefaultStack) {
        self.0.lock().push(stack);
    }
}

/// A means for synchronous code on a coroutine to wait for a future.
pub struct Waiter<'a> {
    yielder: &'a Yielder<Waker, ()>,
    waker: RefCell<Waker>,
}

impl Waiter<'_> {
    /// Waits for `work` while the thread does something else. `work` has to be `Send`, because the
    /// coroutine may resume on another thread.
    pub fn block_on<F: Future + Send>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            let polled = poll(work.as_mut(), &self.waker.borrow());
            match polled {
                Poll::Ready(output) => return output,
                Poll::Pending => {
                    let waker = self.yielder.suspend(());
                    self.waker.replace(waker);
                }
            }
        }
    }
}

/// Never inlined: the address of a thread-local must not be kept across a suspension, after which
/// the coroutine may run on another thread.
#[inline(never)]
fn poll<F: Future>(work: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    work.poll(&mut Context::from_waker(waker))
}

/// Runs `work` as a future.
pub fn run<T, F>(stacks: &Arc<Stacks>, work: F) -> io::Result<CoroutineFuture<T>>
where
    T: Send + 'static,
    F: FnOnce(&Waiter<'_>) -> T + Send + 'static,
{
    let stack = stacks.take()?;
    let coroutine = Coroutine::with_stack(stack, move |yielder, waker| {
        let waiter = Waiter {
            yielder,
            waker: RefCell::new(waker),
        };
        work(&waiter)
    });
    Ok(CoroutineFuture {
        coroutine: Some(SendCoroutine(coroutine)),
        stacks: Arc::clone(stacks),
    })
}

/// A coroutine that runs whenever it is polled.
pub struct CoroutineFuture<T> {
    coroutine: Option<SendCoroutine<T>>,
    stacks: Arc<Stacks>,
}

/// A coroutine that may move between threads while it is suspended.
struct SendCoroutine<T>(Coroutine<Waker, (), T, DefaultStack>);

// SAFETY: it is suspended only inside `Waiter::block_on`. Its stack then holds that function's
// future, which is Send, and the closure given to `run`, which is Send. It also holds the frames of
// a workflow and of the platform under it. Their values are strings, documents, requests and cells
// of them, owned by or borrowed from that same stack, which moves as a whole. No part of it belongs to a thread: no
// lock guards, no `Rc`, and no thread-local's address (see `poll`).
unsafe impl<T: Send> Send for SendCoroutine<T> {}

impl<T> Future for CoroutineFuture<T> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        let Some(mut coroutine) = self.coroutine.take() else {
            // Polled after its end, which no caller of a future does.
            return Poll::Pending;
        };
        match coroutine.0.resume(cx.waker().clone()) {
            CoroutineResult::Yield(()) => {
                self.coroutine = Some(coroutine);
                Poll::Pending
            }
            CoroutineResult::Return(output) => {
                self.stacks.put(coroutine.0.into_stack());
                Poll::Ready(output)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn synchronous_code_waits_while_others_run() {
        let stacks = Arc::new(Stacks::default());
        let barrier = Arc::new(tokio::sync::Barrier::new(64));
        let tasks: Vec<_> = (0..64)
            .map(|n| {
                let barrier = Arc::clone(&barrier);
                let work = run(&stacks, move |waiter| {
                    // Each coroutine waits for all of the others, many times: none may hold a
                    // thread.
                    for _ in 0..20 {
                        waiter.block_on(barrier.wait());
                    }
                    n
                });
                tokio::spawn(work.unwrap())
            })
            .collect();
        let mut sum = 0;
        for task in tasks {
            sum += task.await.unwrap();
        }
        assert_eq!(sum, 63 * 64 / 2);
        assert_eq!(stacks.0.lock().len(), 64, "stacks are kept");
    }
}
