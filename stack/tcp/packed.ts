/**
 * Fields of an object of which there are very many, in less memory than an engine gives to a field: V8 takes 8 bytes for
 * one, and 16 more for a number that is no small integer. Numbers lie side by side in one array of doubles; those that
 * few objects ever change are shared until one is changed; a flag is a bit. Readers and writers see ordinary fields.
 *
 * @module
 */

/** Fields as they are declared: by name, with what each is at first. */
export type Values<T> = Readonly<Record<string, T>>;
export type Fields<T extends Values<unknown>, V> = { -readonly [K in keyof T]: V };

/** What lies behind the fields. */
export interface Storage {
  /** @internal */
  numbers: number[];
  /** @internal Its own if `OWNED` is on; those that others share are never written. */
  rareNumbers: number[];
  /** @internal */
  bits: number;
  /** @internal */
  moreBits: number;
  /** Has the rare numbers be those that {@link shared} of another one has returned; null changes nothing. For a new object. */
  share(numbers: number[] | null): void;
  /** Lets others have what the rare numbers are now. */
  shared(): number[];
}

/** A class with packed fields, to be extended. */
export type PackedClass<
  N extends Values<number>,
  R extends Values<number>,
  F extends Values<false>,
> = new () => Storage & Fields<N, number> & Fields<R, number> & Fields<F, boolean>;

/** Flags of a word: as many as bits of a number that is a small integer on every engine. */
const WORD = 30;
/** In `moreBits`. */
const OWNED = 1 << WORD - 1;

/**
 * Makes a class to be extended, whose instances have the fields that are named.
 * @param numbers Of each object. @param rare Numbers that few objects change: the first change takes memory for all of them.
 * @param flags At most 59; all are off at first.
 */
export function packed<N extends Values<number>, R extends Values<number>, F extends Values<false>>(
  numbers: N,
  rare: R,
  flags: F,
): PackedClass<N, R, F> {
  const first = doubles(numbers), usual = doubles(rare);
  const names = Object.keys(flags);
  if (names.length >= 2 * WORD) {
    throw new RangeError(`Flags must be less than ${2 * WORD}, got ${names.length}`);
  }

  class Packed implements Storage {
    numbers = first.slice();
    rareNumbers = usual;
    bits = 0;
    moreBits = 0;

    share(numbers: number[] | null): void {
      if (numbers !== null) this.rareNumbers = numbers;
    }

    shared(): number[] {
      this.moreBits &= ~OWNED;
      return this.rareNumbers;
    }
  }

  // One pair of closures a field, and one piece of code for all of a kind: the compiler puts it in place.
  const number = (at: number) => ({
    get(this: Storage): number {
      return this.numbers[at]!;
    },
    set(this: Storage, value: number): void {
      this.numbers[at] = value;
    },
  });
  const rareNumber = (at: number) => ({
    get(this: Storage): number {
      return this.rareNumbers[at]!;
    },
    set(this: Storage, value: number): void {
      if ((this.moreBits & OWNED) === 0 && !own(this, at, value)) return;
      this.rareNumbers[at] = value;
    },
  });
  // Setters are kept so small that compilers put them in place; shifting a boolean takes no branch.
  const flag = (at: number, bit = 1 << at, clear = ~bit) => ({
    get(this: Storage): boolean {
      return (this.bits & bit) !== 0;
    },
    set(this: Storage, on: boolean): void {
      this.bits = this.bits & clear | (on as unknown as number) << at;
    },
  });
  const furtherFlag = (at: number, bit = 1 << at, clear = ~bit) => ({
    get(this: Storage): boolean {
      return (this.moreBits & bit) !== 0;
    },
    set(this: Storage, on: boolean): void {
      this.moreBits = this.moreBits & clear | (on as unknown as number) << at;
    },
  });
  const define = (name: string, field: PropertyDescriptor) => {
    Object.defineProperty(Packed.prototype, name, { ...field, configurable: true });
  };
  Object.keys(numbers).forEach((name, at) => define(name, number(at)));
  Object.keys(rare).forEach((name, at) => define(name, rareNumber(at)));
  names.forEach((name, at) => define(name, at < WORD ? flag(at) : furtherFlag(at - WORD)));
  return Packed as unknown as PackedClass<N, R, F>;
}

/** Takes memory for the rare numbers of an object that is about to change one. @returns Whether it is a change. */
function own(object: Storage, at: number, value: number): boolean {
  if (object.rareNumbers[at] === value) return false;
  object.rareNumbers = object.rareNumbers.slice();
  object.moreBits |= OWNED;
  return true;
}

/** An array that holds its numbers unboxed from the start. */
function doubles(values: Values<number>): number[] {
  const array = [NaN];
  array.pop();
  for (const value of Object.values(values)) array.push(value);
  return array;
}
