"""One window or one list read whole: pages, splits, rows that become records, the plan."""
