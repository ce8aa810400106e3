"""Tests of the bounds: python3 tests/cuda_budgets/bounds_test.py"""

import pathlib
import sys
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

import bounds
import budgets
from sass import Instruction, decode, loops

NVCC = budgets.find_nvcc()
STREAM = {"bytes": {"128": 512, "32": 128}}


def load(sets, width=16):
    return Instruction("global load", width, sets=sets)


def use(*scoreboards):
    return Instruction("", awaits=scoreboards)


COPY = Instruction("cp.async", 16)
END_GROUP = Instruction("cp.async group")
BACK = Instruction("branch", target=0)


def wait_for_copies(groups):
    return Instruction("cp.async wait", groups=groups)


class FlightTest(unittest.TestCase):
    ROWS = [
        ("used at once", [load(0), use(0), BACK], 512),
        ("one after the other", [load(0), use(0), load(0), use(0)], 512),
        ("two before a use", [load(0), load(1), use(0), use(1)], 1024),
        ("of two widths", [load(0), load(1, width=4), use(0, 1)], 640),
        ("a scoreboard of two is empty when both are there", [load(0), load(0), use(0)], 1024),
        ("the first is used before the second is issued, once",
         [load(0), use(0), load(1), load(2), use(1, 2)], (512 + 1024) / 2),
        ("the next turn's is issued before this one's use", [load(1), use(0), load(0), use(1)], 1024),
        ("other loads take no time", [load(0), load(3, width=8), use(3), load(1), use(0, 1)], 1024),
        ("what shares a scoreboard with others is waited for",
         [load(0), load(3, width=8), use(0, 3), load(1), use(1)], 512),
        ("copies of the group before are there", [COPY, COPY, END_GROUP, wait_for_copies(1)], 2048),
        ("copies of this group are there", [COPY, COPY, END_GROUP, wait_for_copies(0)], 1024),
        ("copies of four groups", [COPY, END_GROUP, wait_for_copies(3)], 2048),
    ]

    def test_bytes(self):
        for name, body, expected in self.ROWS:
            with self.subTest(name):
                self.assertAlmostEqual(bounds.bytes_in_flight(body, STREAM), expected)

    def test_what_is_never_awaited_is_an_error(self):
        with self.assertRaises(bounds.BoundError):
            bounds.bytes_in_flight([load(0), use(1)], STREAM)


class LoopTest(unittest.TestCase):
    def test_the_main_loop_is_the_innermost_that_brings_most(self):
        program = [load(0), load(0), load(0), use(0),
                   load(1), use(1), Instruction("branch", target=4),
                   load(2), load(2), use(2), Instruction("branch", target=7),
                   Instruction("branch", target=0)]
        self.assertEqual(bounds.main_loop(program, STREAM), program[7:11])

    def test_a_stream_says_what_its_loop_has(self):
        dot = Instruction("dp4a")
        program = [load(0), dot, Instruction("branch", target=0),
                   load(1), load(1), Instruction("branch", target=3)]
        self.assertEqual(bounds.main_loop(program, {**STREAM, "with": ["dp4a"]}), program[:3])
        self.assertEqual(bounds.main_loop(program, {**STREAM, "without": ["dp4a"]}), program[3:])
        with self.assertRaises(bounds.BoundError):
            bounds.main_loop(program, {**STREAM, "with": ["shuffle"]})

    def test_a_branch_on_the_spot_is_no_loop(self):
        self.assertEqual(loops([use(), Instruction("branch", target=1), BACK][:2]), [])


class TensorTest(unittest.TestCase):
    def test_cycles_over_slots(self):
        tensor = Instruction("tensor core")
        program = [use(), use(), tensor, BACK]
        self.assertEqual(bounds.tensor_part(program, 2, 1), 2 / 4)
        self.assertEqual(bounds.tensor_part(program, 8, 1), 1)
        inner = [use(), tensor, use(), Instruction("branch", target=1), use(), use(), BACK]
        self.assertEqual(bounds.tensor_part(inner, 2, 1), 2 / 7)
        self.assertEqual(bounds.tensor_part(inner, 2, 2), 4 / 10)
        with self.assertRaises(bounds.BoundError):
            bounds.tensor_part([tensor, use()], 2, 1)


class DecodeTest(unittest.TestCase):
    # from nvdisasm
    def test_words(self):
        copy = decode(0x0003e2000c101c48_0000000004037fae, 0, 80)
        self.assertEqual((copy.kind, copy.bytes, copy.sets), ("cp.async", 16, None))
        wait = decode(0x000fc80000000000_000080400000791a, 0, 80)
        self.assertEqual((wait.kind, wait.groups, wait.awaits), ("cp.async wait", 1, ()))
        group = decode(0x000e220000000000_00000000000079af, 0, 80)
        self.assertEqual((group.kind, group.sets), ("cp.async group", 0))
        branch = decode(0x000fea0003800000_00001c1000009947, 0x20, 80)
        self.assertEqual(branch.target, (0x200 + 16 + 0x1c10) // 16)


@unittest.skipUnless(NVCC, "no nvcc")
class CompilerTest(unittest.TestCase):
    def test_loops_whose_loads_are_known(self):
        wanted = {"Stream<1>": 512, "Stream<4>": 2048, "Chain": 128,
                  "Copies<2>": 1024, "Copies<4>": 2048}
        for architecture in (80, 89, 90, 120):
            found = budgets.compile_kernels(NVCC, FOLDER / "streams.cu", architecture, [])
            for name, expected in wanted.items():
                with self.subTest(kernel=name, architecture=architecture):
                    body = bounds.main_loop(found[name].program, STREAM)
                    self.assertEqual(bounds.bytes_in_flight(body, STREAM), expected)


class BudgetTest(unittest.TestCase):
    DEVICES = [bounds.Device("Small", 80, gigabytes_per_second=100, multiprocessors=10,
                             gigahertz=2, latency_cycles=512, tensor_rate={"int8": 512}),
               bounds.Device("Other", 90, 1, 1, 1, 1, {})]

    def kernel(self, program):
        return budgets.Kernel("K", 80, program=program, warps=8, blocks=2)

    def test_in_flight_by_what_the_device_wants(self):
        kernel = self.kernel([load(0), use(0), BACK])
        budgets.add_bounds(kernel, {"streams": ["weights"]}, {"weights": STREAM}, self.DEVICES)
        wanted = 2 * 100 * 256 / 10
        self.assertEqual(kernel.bounds, {"weights": {"Small": 8 * 512 / wanted}})
        self.assertEqual(budgets.below(kernel, {}), ["K on Small: weights 0.800, at least 1"])
        self.assertEqual(budgets.below(kernel, {"least": {"weights": {"Small": 0.8}}}), [])
        self.assertEqual(len(budgets.below(kernel, {"least": {"weights": {"Small": 0.81}}})), 1)

    def test_tensor_part(self):
        kernel = self.kernel([use()] * 10 + [Instruction("tensor core"), BACK])
        budget = {"tensor": {"numbers": "int8"}, "label": "product"}
        budgets.add_bounds(kernel, budget, {}, self.DEVICES)
        self.assertEqual(budgets.below(kernel, {}), ["K on Small: tensor 0.667, at least 0.7"])
        self.assertEqual(budgets.bounds_table([kernel], True, self.DEVICES).splitlines()[-1],
                         "| product | tensor | 0.67 |  |")


if __name__ == "__main__":
    unittest.main()
