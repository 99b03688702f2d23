;; Sums 16-bit words in the machine's order with 128-bit vectors: four sums of sixteen bytes each at a time.
;; `deno task wasm` makes checksum_wasm.ts of it.
(module
  (import "arena" "memory" (memory 0))
  ;; From $at to $end: a multiple of 64 bytes, at least 64 and at most 128 KiB, so that the sum fits in 32 bits.
  (func (export "sum") (param $at i32) (param $end i32) (result i32)
    (local $a v128) (local $b v128) (local $c v128) (local $d v128)
    (loop $next
      (local.set $a (i32x4.add (local.get $a)
        (i32x4.extadd_pairwise_i16x8_u (v128.load align=1 (local.get $at)))))
      (local.set $b (i32x4.add (local.get $b)
        (i32x4.extadd_pairwise_i16x8_u (v128.load offset=16 align=1 (local.get $at)))))
      (local.set $c (i32x4.add (local.get $c)
        (i32x4.extadd_pairwise_i16x8_u (v128.load offset=32 align=1 (local.get $at)))))
      (local.set $d (i32x4.add (local.get $d)
        (i32x4.extadd_pairwise_i16x8_u (v128.load offset=48 align=1 (local.get $at)))))
      (br_if $next (i32.lt_u
        (local.tee $at (i32.add (local.get $at) (i32.const 64)))
        (local.get $end))))
    (local.set $a (i32x4.add
      (i32x4.add (local.get $a) (local.get $b))
      (i32x4.add (local.get $c) (local.get $d))))
    (i32.add
      (i32.add (i32x4.extract_lane 0 (local.get $a)) (i32x4.extract_lane 1 (local.get $a)))
      (i32.add (i32x4.extract_lane 2 (local.get $a)) (i32x4.extract_lane 3 (local.get $a))))))
