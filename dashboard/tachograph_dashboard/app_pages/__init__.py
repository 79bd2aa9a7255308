"""One file a page, each run from the top for every visitor and change."""
