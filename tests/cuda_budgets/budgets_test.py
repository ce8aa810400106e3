"""Tests of the budgets: python3 tests/cuda_budgets/budgets_test.py"""

import pathlib
import sys
import unittest

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))

import budgets
import occupancy

NVCC = budgets.find_nvcc()
KERNELS = FOLDER.parent / "ptx/kernels"

LOG = """\
ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function '_Z7ProductILi2EiEvPKhS1_PT0_' for 'sm_80'
ptxas info    : Function properties for _Z7ProductILi2EiEvPKhS1_PT0_
    8 bytes stack frame, 12 bytes spill stores, 20 bytes spill loads
ptxas info    : Used 31 registers, used 1 barriers, 8 bytes cumulative stack size, 1152 bytes smem
ptxas info    : Compiling entry function 'K' for 'sm_80'
ptxas info    : Function properties for K
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 10 registers, used 0 barriers
"""


class OccupancyTest(unittest.TestCase):
    # architecture, threads, registers, shared; blocks and limit by NVIDIA's cuda_occupancy.h
    ROWS = [
        (80, 128, 76, 20 * 1024, 6, "registers"),
        (86, 128, 76, 20 * 1024, 4, "shared memory"),
        (120, 128, 76, 20 * 1024, 4, "shared memory"),
        (75, 32, 16, 0, 16, "blocks"),
        (89, 32, 16, 0, 24, "blocks"),
        (90, 1024, 32, 0, 2, "threads"),
        (90, 1024, 65, 0, 0, "registers"),
        (80, 96, 40, 0, 16, "registers"),
        (100, 256, 255, 0, 1, "registers"),
        (80, 64, 32, 163 * 1024, 1, "shared memory"),
        (80, 64, 32, 163 * 1024 + 1, 0, "shared memory"),
    ]

    def test_blocks_and_limit(self):
        for *launch, blocks, limit in self.ROWS:
            with self.subTest(launch=launch):
                self.assertEqual(occupancy.blocks_per_multiprocessor(*launch), (blocks, limit))


class LogTest(unittest.TestCase):
    def test_what_ptxas_says(self):
        first, second = budgets.parse_log(LOG, 80).values()
        self.assertEqual((first.registers, first.shared, first.stack, first.spills),
                         (31, 1152, 8, 32))
        self.assertEqual((second.name, second.registers, second.shared), ("K", 10, 0))

    def test_names(self):
        self.assertEqual(budgets.demangle(["_Z7ProductILi2EiEvPKhS1_PT0_", "K"]),
                         ["Product<2, int>", "K"])


class BudgetTest(unittest.TestCase):
    def kernel(self):
        return budgets.Kernel("K", 80, registers=40, stack=16, spills=8, blocks=5,
                              counts={"tensor core": 2, "local load": 3})

    def test_each_figure_breaks_its_budget_by_name(self):
        budget = {"threads": 32, "max_registers": 39, "min_blocks": 6,
                  "at_least": {"tensor core": 3, "ldmatrix": 1}, "at_most": {"local load": 2}}
        self.assertEqual(budgets.broken(self.kernel(), budget), [
            "K on sm_80: 40 registers, budget at most 39",
            "K on sm_80: 8 bytes of spills, budget at most 0",
            "K on sm_80: 16 bytes of stack, budget at most 0",
            "K on sm_80: 3 instructions 'local load', budget at most 2",
            "K on sm_80: 5 blocks per multiprocessor, budget at least 6",
            "K on sm_80: 2 instructions 'tensor core', budget at least 3",
            "K on sm_80: 0 instructions 'ldmatrix', budget at least 1",
        ])

    def test_what_is_at_its_budget_keeps_it(self):
        budget = {"threads": 32, "max_registers": 40, "max_spills": 8, "max_stack": 16,
                  "min_blocks": 5, "at_least": {"tensor core": 2}, "at_most": {"local load": 3}}
        self.assertEqual(budgets.broken(self.kernel(), budget), [])

    def test_other_budgets_on_one_architecture(self):
        budget = {"max_registers": 40, "only": {"75": None, "90": {"max_registers": 50}}}
        self.assertIsNone(budgets.budget_for(budget, 75))
        self.assertEqual(budgets.budget_for(budget, 80)["max_registers"], 40)
        self.assertEqual(budgets.budget_for(budget, 90)["max_registers"], 50)

    def test_a_budget_that_nobody_reads_is_an_error(self):
        with self.assertRaisesRegex(budgets.BudgetError, "max_register"):
            budgets.budget_for({"max_register": 1}, 80)


@unittest.skipUnless(NVCC, "no nvcc")
class CompilerTest(unittest.TestCase):
    def test_small_kernels_keep_their_budgets(self):
        rows, messages = budgets.check_file(NVCC, FOLDER / "small_kernels.json")
        self.assertEqual(messages, [])
        self.assertEqual(len(rows), 8 * 7 + 3 * 6)
        self.assertRegex(budgets.markdown(rows), r"\| `Product<2, int>` \| 80 \| \d+ \| 1152 \| 0 \|")

    def test_a_kernel_that_spills_breaks_its_budget(self):
        budget = {"Greedy": {"threads": 1024, "max_registers": 64, "min_blocks": 1,
                             "max_stack": 1000, "at_most": {"local load": 0}}}
        rows, messages = budgets.check_source(NVCC, FOLDER / "greedy.cu", budget, [], [80])
        counts = rows[0].counts
        self.assertGreater(rows[0].spills, 0)
        self.assertEqual(rows[0].spills, 4 * (counts["local load"] + counts["local store"]))
        self.assertEqual(messages, [
            f"Greedy on sm_80: {rows[0].spills} bytes of spills, budget at most 0",
            f"Greedy on sm_80: {counts['local load']} instructions 'local load', budget at most 0",
        ])

    def test_kernels_and_budgets_belong_together(self):
        budget = {"Modest": {"threads": 1024, "max_registers": 64, "min_blocks": 1}}
        _, messages = budgets.check_source(NVCC, FOLDER / "greedy.cu", budget, [], [80])
        source = FOLDER / "greedy.cu"
        self.assertEqual(messages, [
            f"Modest on sm_80: has a budget, but is not in {source}",
            f"Greedy on sm_80: is in {source}, but has no budget",
        ])

    def test_sass_codes_are_those_of_this_nvcc(self):
        wanted = {
            "integers.cu": {"Integers": {"dp4a": 2}},
            "lanes.cu": {"Shuffles<32>": {"shuffle": 4, "global load": 1, "global store": 4}},
            "memory.cu": {"Vectors": {"128-bit load": 1, "global load": 7}},
        }
        for name, kernels in wanted.items():
            for architecture in budgets.ARCHITECTURES:
                found = budgets.compile_kernels(NVCC, KERNELS / name, architecture, [])
                for kernel, counts in kernels.items():
                    with self.subTest(kernel=kernel, architecture=architecture):
                        self.assertEqual({kind: found[kernel].counts.get(kind) for kind in counts},
                                         counts)

    def test_a_source_that_does_not_compile_is_an_error(self):
        with self.assertRaisesRegex(budgets.BudgetError, "sm_80"):
            budgets.compile_kernels(NVCC, FOLDER / "none.cu", 80, [])


if __name__ == "__main__":
    unittest.main()
