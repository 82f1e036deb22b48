"""Services over several clusters: EndpointSlices from where they are to where they are used. Pure."""
