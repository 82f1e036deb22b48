"""The dependencies distributor: what a workload needs beside it follows the workload."""
