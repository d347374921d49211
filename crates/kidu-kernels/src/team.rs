//! A few threads that go through the steps of one forward pass together.
//!
//! Every step writes one buffer, cut into rows; each thread makes its share of the rows, and none begins the next step
//! before all are done with this one. Threads enter once for the whole pass, so that a pass of a few milliseconds does
//! not wait dozens of times for them to wake.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Mutex, PoisonError, TryLockError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::buffer::Aligned;

/// Turns at the barrier before a waiting thread lets others run, some microseconds.
const SPINS: u32 = 1000;

/// One step of a pass.
#[allow(clippy::len_without_is_empty, reason = "a step writes something")]
pub trait Step: Send + Sync {
    /// The buffers it reads, never the one it writes.
    fn reads(&self) -> &[usize];
    /// The buffer it writes.
    fn writes(&self) -> usize;
    /// Rows of its output.
    fn rows(&self) -> usize;
    /// Floats in a row of its output.
    fn row_len(&self) -> usize;
    /// Floats of its output; the last row may be shorter than the others.
    fn len(&self) -> usize {
        self.rows() * self.row_len()
    }
    /// Writes the rows `first..` of the output; as many as `output` holds. `inputs` are the buffers of `reads`, in that
    /// order, at their full length.
    fn run(&self, inputs: &[&[f32]], first: usize, output: &mut [f32]);
}

/// The buffers of a pass, reused from pass to pass.
#[derive(Debug, Default)]
pub struct Buffers(Vec<Aligned>);

impl Buffers {
    /// Buffers of these lengths.
    pub fn new(lengths: &[usize]) -> Self {
        Self(lengths.iter().map(|len| Aligned::zeros(*len)).collect())
    }

    /// A buffer.
    pub fn get(&self, at: usize) -> &[f32] {
        &self.0[at]
    }

    /// A buffer, to fill before a pass.
    pub fn get_mut(&mut self, at: usize) -> &mut [f32] {
        &mut self.0[at]
    }
}

/// Start and length of each buffer.
struct Shared(Vec<(*mut f32, usize)>);

// SAFETY: threads take disjoint rows of the buffer that a step writes and only read others; barriers separate steps.
unsafe impl Sync for Shared {}

/// One team at a time: two teams on the same threads would wait for each other for ever.
static TEAM: Mutex<()> = Mutex::new(());

/// Runs the steps in order, with up to `threads` threads of the current Rayon pool. If another pass has them, or with
/// one thread, it runs on the calling thread alone; the results are the same.
///
/// # Panics
/// When a step reads the buffer that it writes, names one that does not exist, or writes past its end.
pub fn run(steps: &[Box<dyn Step>], buffers: &mut Buffers, threads: usize) {
    for step in steps {
        let writes = step.writes();
        assert!(!step.reads().contains(&writes), "a step cannot read what it writes");
        assert!(step.reads().iter().all(|r| *r < buffers.0.len()), "no such buffer");
        assert!(step.len() <= buffers.0[writes].len(), "the buffer is too short");
    }
    let threads = threads.min(rayon::current_num_threads()).max(1);
    let shared = Shared(buffers.0.iter_mut().map(|b| (b.as_mut_ptr(), b.len())).collect());
    let guard = match TEAM.try_lock() {
        Ok(guard) if threads > 1 => Some(guard),
        // A step of an earlier pass panicked; the lock guards no data.
        Err(TryLockError::Poisoned(poisoned)) if threads > 1 => Some(poisoned.into_inner()),
        _ => None,
    };
    if guard.is_none() {
        steps.iter().for_each(|step| share(step.as_ref(), &shared, 0, 1));
        return;
    }
    let barrier = Barrier { threads, arrived: AtomicUsize::new(0) };
    let panicked = Mutex::new(None);
    rayon::broadcast(|context| {
        if context.index() >= threads {
            return;
        }
        for (number, step) in steps.iter().enumerate() {
            // A thread that panics still arrives: the others would wait for it for ever.
            let made = catch_unwind(AssertUnwindSafe(|| share(step.as_ref(), &shared, context.index(), threads)));
            if let Err(payload) = made {
                *panicked.lock().unwrap_or_else(PoisonError::into_inner) = Some(payload);
            }
            barrier.wait(number);
        }
    });
    if let Some(payload) = panicked.into_inner().unwrap_or_else(PoisonError::into_inner) {
        resume_unwind(payload);
    }
}

/// Thread `index` of `threads` makes its rows of a step.
fn share(step: &dyn Step, buffers: &Shared, index: usize, threads: usize) {
    let rows = step.rows();
    let (from, to) = (rows * index / threads, rows * (index + 1) / threads);
    if from == to {
        return;
    }
    let mut inputs = [const { [].as_slice() }; 4];
    for (input, at) in inputs.iter_mut().zip(step.reads()) {
        let (start, len) = buffers.0[*at];
        // SAFETY: no step that is under way writes this buffer (checked by `run`).
        *input = unsafe { std::slice::from_raw_parts(start, len) };
    }
    let len = step.row_len();
    // SAFETY: the rows are inside the buffer (checked by `run`), and no other thread has these rows.
    let output = unsafe {
        let end = step.len().min(to * len);
        std::slice::from_raw_parts_mut(buffers.0[step.writes()].0.add(from * len), end.saturating_sub(from * len))
    };
    step.run(&inputs[..step.reads().len().min(4)], from, output);
}

/// Threads wait here until all have finished a step.
struct Barrier {
    threads: usize,
    /// Arrivals at all barriers so far.
    arrived: AtomicUsize,
}

impl Barrier {
    fn wait(&self, number: usize) {
        let all = (number + 1) * self.threads;
        self.arrived.fetch_add(1, Ordering::AcqRel);
        let mut spins = 0;
        while self.arrived.load(Ordering::Acquire) < all {
            spins += 1;
            if spins < SPINS { std::hint::spin_loop() } else { std::thread::yield_now() }
        }
    }
}
