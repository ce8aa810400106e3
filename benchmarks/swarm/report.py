"""What a benchmark prints: the same lines as benchmarks/report.h."""

import json


class Report:
    def __init__(self, as_json):
        self._as_json = as_json

    def add(self, name, value, unit, limit, limit_is):
        """Prints name, value, unit, limit, value / limit, and what the limit is."""
        ratio = value / limit
        if self._as_json:
            line = {"name": name, "value": value, "unit": unit, "limit": limit, "ratio": ratio,
                    "limit_is": limit_is}
            print(json.dumps(line), flush=True)
        else:
            print(f"{name:<44} {value:10.2f} {unit:<9} of {limit:10.2f} = {ratio:5.2f}  ({limit_is})",
                  flush=True)
