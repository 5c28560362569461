#!/usr/bin/env python3
"""Compares `fastgpu simulate philly` with jct_reference.py, each virtual cluster (VC) for itself, on months that
nobody tuned anything on (standard library only).

A month is made from the days of a trace: 30 days in blocks of 5 that are drawn with replacement, the same days
for all VCs. Or it is made up: one-node clusters with Poisson arrivals, lognormal durations and 1 to 8 GPUs. The
seed decides everything. Both programs then read the same file and give each VC the same number of nodes.

    compare_months.py --trace traces/philly/philly_oct_nov_2017.csv.gz
    compare_months.py --synthetic
    compare_months.py --trace … --seeds 3..3 --keep FOLDER      (keeps the months as files)

Printed is, for each VC and over all of them, mean completion with FastGPU over mean completion with the
reference: the median over the months, and the least and the greatest.
"""
import argparse, csv, gzip, json, math, os, random, statistics, subprocess, sys, tempfile

import jct_reference

DAY = 86_400
TASKS_FEW = 200  # the mean of fewer tasks hangs on two or three of them


def rows_of(path):
    with gzip.open(path, "rt") if path.endswith(".gz") else open(path) as file:
        return [(int(r["submit_s"]), int(r["duration_s"]), int(r["num_gpus"]), r["vc"])
                for r in csv.DictReader(file)]


def resampled(rows, seed, days, block):
    """A month of `days`, in blocks of `block` days drawn from the days of `rows`."""
    chance = random.Random(seed)
    last = max(row[0] for row in rows) // DAY
    month = []
    for at in range(0, days, block):
        first = chance.randint(0, last - block + 1)
        moved = (at - first) * DAY
        month += [(submit + moved, *rest) for submit, *rest in rows
                  if first * DAY <= submit < (first + block) * DAY]
    return sorted(month, key=lambda row: row[0])


def made_up(seed, days):
    """One-node clusters at several loads; `wide` ones have many tasks that want the whole node."""
    kinds = {"narrow": (60, 20, 14, 6), "even": (40, 20, 20, 20), "wide": (50, 0, 0, 50)}
    month = []
    for kind, weights in kinds.items():
        for load in (60, 80, 95):
            chance = random.Random(f"{seed} {kind} {load}")
            gpus_mean = sum(g * w for g, w in zip((1, 2, 4, 8), weights)) / sum(weights)
            middle, spread = 1_200, 1.8
            gap = gpus_mean * middle * math.exp(spread * spread / 2) / 8 / (load / 100)
            submit = 0.0
            while True:
                submit += chance.expovariate(1 / gap)
                if submit >= days * DAY:
                    break
                duration = min(max(1, round(chance.lognormvariate(math.log(middle), spread))), 7 * DAY)
                gpus = chance.choices((1, 2, 4, 8), weights)[0]
                month.append((int(submit), duration, gpus, f"{kind}{load}"))
    return sorted(month, key=lambda row: row[0])


def nodes_of(jobs, load):
    """As both programs size a VC."""
    span = max(1, max(job[0] for job in jobs) - min(job[0] for job in jobs))
    asked = sum(job[1] * job[2] for job in jobs)
    return max(-(-max(job[2] for job in jobs) // 8), round(asked / span / 8 / load))


def ours(binary, path, policy, durations, load, vcs):
    command = [binary, "simulate", "philly", "--tasks", path, "--load", str(load), "--durations", durations,
               "--policy", policy, "--vc", ",".join(vcs), "-o", "json"]
    answer = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return answer[0] if isinstance(answer, list) else answer


def compare(month, path, a):
    """For each VC: (tasks, nodes, our sum of completions, the reference's)."""
    with open(path, "w") as file:
        file.write("submit_s,duration_s,num_gpus,vc\n")
        file.writelines(f"{submit},{duration},{gpus},{vc}\n" for submit, duration, gpus, vc in month)
    per = {}
    for submit, duration, gpus, vc in month:
        if not a.vc or vc in a.vc:
            per.setdefault(vc, []).append((submit, duration, gpus))
    # A VC with a single moment of submission has no load.
    per = {vc: jobs for vc, jobs in per.items() if jobs[-1][0] > jobs[0][0]}
    load = 100 if a.synthetic else a.load  # a made-up VC is one node, whatever is asked for
    answer = ours(a.fastgpu, path, a.policy, a.durations, load, sorted(per))
    found = {}
    for vc, jobs in sorted(per.items()):
        nodes = nodes_of(jobs, load)
        figures = answer["vcs"][vc]
        assert (figures["nodes"], figures["tasks"]) == (nodes, len(jobs)), (vc, nodes, figures)
        completions, _, _ = jct_reference.run_vc(jobs, nodes, a.reference)
        found[vc] = (len(jobs), nodes, figures["completion_s_mean"] * len(jobs), sum(completions))
    return found


def show(months):
    print(f"{'VC':12} {'months':>6} {'tasks':>13} {'nodes':>7} {'median':>7} {'least':>7} {'most':>7}")
    vcs = sorted({vc for month in months for vc in month})
    for vc in vcs:
        there = [month[vc] for month in months if vc in month]
        ratios = [our / its for _, _, our, its in there]
        tasks, nodes = [found[0] for found in there], [found[1] for found in there]
        few = "  few tasks" if statistics.median(tasks) < TASKS_FEW else ""
        print(f"{vc:12} {len(there):6} {min(tasks):6}-{max(tasks):<6} {min(nodes):3}-{max(nodes):<3} "
              f"{statistics.median(ratios):7.3f} {min(ratios):7.3f} {max(ratios):7.3f}{few}")
    all_of = [sum(f[2] for f in month.values()) / sum(f[3] for f in month.values()) for month in months]
    print(f"{'all':12} {len(months):6} {'':21} {statistics.median(all_of):7.3f} {min(all_of):7.3f} {max(all_of):7.3f}")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    source = ap.add_mutually_exclusive_group(required=True)
    source.add_argument("--trace", help="draw the days of the months from this trace")
    source.add_argument("--synthetic", action="store_true", help="make up one-node clusters")
    ap.add_argument("--fastgpu", default="target/release/fastgpu", help="the binary")
    ap.add_argument("--policy", default="srtf", help="the policy of FastGPU")
    ap.add_argument("--durations", default="known", choices=["known", "unknown"])
    ap.add_argument("--reference", default="srtf", help="the policy of the reference")
    ap.add_argument("--load", type=float, default=0.6)
    ap.add_argument("--seeds", default="1..10")
    ap.add_argument("--days", type=int, default=30)
    ap.add_argument("--block", type=int, default=5, help="days of a block")
    ap.add_argument("--vc", nargs="*", help="only these; all but the huge 6214e9 if not said")
    ap.add_argument("--keep", help="a folder for the months, as <seed>.csv")
    ap.add_argument("--verbose", action="store_true", help="also each month for itself")
    a = ap.parse_args()
    rows = [] if a.synthetic else [row for row in rows_of(a.trace) if a.vc or row[3] != "6214e9"]
    first, _, last = a.seeds.partition("..")
    months = []
    with tempfile.TemporaryDirectory() as folder:
        folder = a.keep or folder
        os.makedirs(folder, exist_ok=True)
        for seed in range(int(first), int(last or first) + 1):
            month = made_up(seed, a.days) if a.synthetic else resampled(rows, seed, a.days, a.block)
            months.append(compare(month, os.path.join(folder, f"{seed}.csv"), a))
            if a.verbose:
                for vc, (tasks, nodes, our, its) in months[-1].items():
                    print(f"seed {seed} {vc} nodes {nodes} tasks {tasks} ours {our/tasks:.1f} "
                          f"reference {its/tasks:.1f} ratio {our/its:.3f}", flush=True)
    show(months)


if __name__ == "__main__":
    main()
