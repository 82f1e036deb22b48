"""ServiceExport, ServiceImport and MultiClusterService."""
