"""The dashboard: Streamlit pages over the named queries of ``tachograph_schemas``.

``serve`` puts the application together and runs it; ``main`` is the frame around every page;
``app_pages`` holds one file a page; ``data`` is the only way to the store; ``components`` are our own
browser components, whose code is in ``assets``.
"""
