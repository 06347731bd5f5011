use crate::server::{Handling, SendRequest};

use super::{FromMessage, Handled};

/// What takes the messages to a destination: an async function or closure with up to eight arguments
/// that implement [`FromMessage`].
///
/// A closure is cloned for each message, with what it captures, so that it may be
/// `async move |…| { … }`.
///
/// `Arguments` only keeps functions of different arguments apart; it is never written out.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no handler of an application whose state is `{S}`",
    note = "a handler is an async function with up to eight arguments that implement \
            `FromMessage<{S}>`, and returns `()` or `Result<(), E>` where `HandleError: From<E>`",
    note = "check that each argument implements it: `Json<T>` needs `T: serde::Deserialize` without \
            a borrowed part, and `State<T>` needs an `App::with_state` of a `T`",
    note = "its future is `Send`, so nothing that is not (an `Rc`, the guard of a `std` lock) is \
            held across an `.await`; what it captures is `Clone + Send + Sync + 'static`"
)]
pub trait Handler<S, Arguments>: Send + Sync + 'static {
    /// Handles one message. If an argument cannot be made of it the function is not called.
    fn call(&self, request: &SendRequest, state: &S) -> Handling;
}

macro_rules! handler {
    ($($argument:ident)*) => {
        impl<S, F, T, $($argument,)*> Handler<S, ($($argument,)*)> for F
        where
            F: FnOnce($($argument),*) -> T + Clone + Send + Sync + 'static,
            T: Future<Output: Handled> + Send + 'static,
            $($argument: FromMessage<S>,)*
        {
            #[allow(unused_variables, non_snake_case)] // The arguments are named by their types.
            fn call(&self, request: &SendRequest, state: &S) -> Handling {
                $(
                    let $argument = match $argument::from_message(request, state) {
                        Ok(argument) => argument,
                        Err(error) => return Box::pin(std::future::ready(Err(error))),
                    };
                )*
                let handling = self.clone()($($argument),*);
                Box::pin(async move { handling.await.into_result() })
            }
        }
    };
}

handler!();
handler!(A);
handler!(A B);
handler!(A B C);
handler!(A B C D);
handler!(A B C D E);
handler!(A B C D E G);
handler!(A B C D E G H);
handler!(A B C D E G H I);
