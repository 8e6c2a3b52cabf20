//! loom's atomics, with fences where an access is `SeqCst`.

use loom::sync::atomic as plain;

pub use plain::{Ordering, fence};

use crate::{FENCES, Fences};

fn load<T>(order: Ordering, access: impl FnOnce(Ordering) -> T) -> T {
    if order == Ordering::SeqCst && FENCES.get() == Fences::BeforeLoads {
        fence(Ordering::SeqCst);
    }
    access(order)
}

fn store<T>(order: Ordering, access: impl FnOnce(Ordering) -> T) -> T {
    let result = access(order);
    if order == Ordering::SeqCst && FENCES.get() == Fences::AfterStores {
        fence(Ordering::SeqCst);
    }
    result
}

fn update<T>(order: Ordering, access: impl FnOnce(Ordering) -> T) -> T {
    load(order, |order| store(order, access))
}

macro_rules! atomics {
    ($($name:ident $value:ty { $($fetch:ident)* })+) => { $(
        #[doc = concat!("Stands in for `std::sync::atomic::", stringify!($name), "`.")]
        #[derive(Debug, Default)]
        pub struct $name(plain::$name);

        // As in the standard library.
        #[allow(missing_docs)]
        impl $name {
            pub fn new(value: $value) -> Self {
                Self(plain::$name::new(value))
            }

            pub fn load(&self, order: Ordering) -> $value {
                load(order, |order| self.0.load(order))
            }

            pub fn store(&self, value: $value, order: Ordering) {
                store(order, |order| self.0.store(value, order));
            }

            pub fn swap(&self, value: $value, order: Ordering) -> $value {
                update(order, |order| self.0.swap(value, order))
            }

            pub fn compare_exchange(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                update(success, |success| self.0.compare_exchange(current, new, success, failure))
            }

            pub fn compare_exchange_weak(
                &self,
                current: $value,
                new: $value,
                success: Ordering,
                failure: Ordering,
            ) -> Result<$value, $value> {
                self.compare_exchange(current, new, success, failure)
            }

            $(pub fn $fetch(&self, value: $value, order: Ordering) -> $value {
                update(order, |order| self.0.$fetch(value, order))
            })*
        }
    )+ };
}

atomics! {
    AtomicBool bool { fetch_and fetch_or fetch_xor }
    AtomicU8 u8 { fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min }
    AtomicU32 u32 { fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min }
    AtomicU64 u64 { fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min }
    AtomicUsize usize { fetch_add fetch_sub fetch_and fetch_or fetch_xor fetch_max fetch_min }
}
