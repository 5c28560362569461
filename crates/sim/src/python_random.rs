//! Python's `random.Random(seed)`, number for number, so that an experiment written in Python and ours take
//! their tasks in the same order.
//!
//! The generator is MT19937 (Matsumoto and Nishimura, 1998), seeded by its `init_by_array`. Here is only what
//! experiments need: whole numbers below a bound and shuffling. For everything that has no peer in Python
//! there is [`crate::random`].

const WORDS: usize = 624;
const MIDDLE: usize = 397;
const TWIST: u32 = 0x9908_b0df;
const UPPER_BIT: u32 = 0x8000_0000;

/// `random.Random(seed)`.
#[derive(Debug, Clone)]
pub struct PythonRandom {
    words: Box<[u32; WORDS]>,
    next: usize,
}

impl PythonRandom {
    /// Seeds it as Python does with a whole number.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let (low, high) = (low_word(seed), low_word(seed >> 32));
        let key = [low, high];
        let mut random = Self { words: Box::new([0; WORDS]), next: WORDS };
        random.seed_by(if high == 0 { &key[..1] } else { &key });
        random
    }

    fn seed_by_word(&mut self, seed: u32) {
        self.words[0] = seed;
        for (index, number) in (1..WORDS).zip(1u32..) {
            let before = self.words[index - 1];
            self.words[index] = (before ^ (before >> 30)).wrapping_mul(1_812_433_253).wrapping_add(number);
        }
    }

    fn seed_by(&mut self, key: &[u32]) {
        self.seed_by_word(19_650_218);
        let (mut at, mut in_key) = (1, 0);
        for _ in 0..WORDS.max(key.len()) {
            let before = self.words[at - 1];
            let mixed = (before ^ (before >> 30)).wrapping_mul(1_664_525);
            self.words[at] = (self.words[at] ^ mixed).wrapping_add(key[in_key]).wrapping_add(small(in_key));
            at = self.step(at);
            in_key = (in_key + 1) % key.len();
        }
        for _ in 0..WORDS - 1 {
            let before = self.words[at - 1];
            let mixed = (before ^ (before >> 30)).wrapping_mul(1_566_083_941);
            self.words[at] = (self.words[at] ^ mixed).wrapping_sub(small(at));
            at = self.step(at);
        }
        self.words[0] = UPPER_BIT;
    }

    /// The word after `at`; the last is copied to the front on the way around.
    fn step(&mut self, at: usize) -> usize {
        if at + 1 < WORDS {
            return at + 1;
        }
        self.words[0] = self.words[WORDS - 1];
        1
    }

    fn refill(&mut self) {
        for at in 0..WORDS {
            let joined = (self.words[at] & UPPER_BIT) | (self.words[(at + 1) % WORDS] & (UPPER_BIT - 1));
            let twist = if joined & 1 == 1 { TWIST } else { 0 };
            self.words[at] = self.words[(at + MIDDLE) % WORDS] ^ (joined >> 1) ^ twist;
        }
        self.next = 0;
    }

    /// 32 random bits: `getrandbits(32)`.
    pub fn next_u32(&mut self) -> u32 {
        if self.next >= WORDS {
            self.refill();
        }
        let mut word = self.words[self.next];
        self.next += 1;
        word ^= word >> 11;
        word ^= (word << 7) & 0x9d2c_5680;
        word ^= (word << 15) & 0xefc6_0000;
        word ^ (word >> 18)
    }

    /// `randrange(below)`.
    ///
    /// # Panics
    /// When `below` is zero: there is no such number.
    pub fn below(&mut self, below: u32) -> u32 {
        assert!(below > 0, "no number is below zero");
        let bits = u32::BITS - below.leading_zeros();
        loop {
            let number = self.next_u32() >> (u32::BITS - bits);
            if number < below {
                return number;
            }
        }
    }

    /// `randrange(len(list))`: a place in a list.
    ///
    /// # Panics
    /// When the list is empty or longer than four thousand million.
    pub fn place(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).expect("lists of an experiment have fewer than 2^32 entries")) as usize
    }

    /// `shuffle(list)`.
    pub fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.place(last + 1);
            list.swap(last, other);
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half of the number is what is meant")]
const fn low_word(number: u64) -> u32 {
    number as u32
}

fn small(index: usize) -> u32 {
    u32::try_from(index).expect("places in 624 words are small")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_gives_the_numbers_that_python_gives() {
        // python3 -c 'import random; r=random.Random(42); x=list(range(10)); r.shuffle(x);
        //   print(x, [r.randrange(7) for _ in range(5)], [r.getrandbits(32) for _ in range(2)])'
        let mut random = PythonRandom::new(42);
        let mut list: Vec<u32> = (0..10).collect();
        random.shuffle(&mut list);
        assert_eq!(list, [7, 3, 2, 8, 5, 6, 9, 4, 0, 1]);
        assert_eq!([(); 5].map(|()| random.below(7)), [4, 3, 0, 0, 0]);
        assert_eq!([(); 2].map(|()| random.next_u32()), [939_042_955, 999_270_936]);
        // python3 -c 'import random; r=random.Random(2**40+5); print([r.randrange(1000) for _ in range(5)])'
        let mut random = PythonRandom::new((1 << 40) + 5);
        assert_eq!([(); 5].map(|()| random.below(1_000)), [516, 529, 275, 679, 948]);
    }
}
