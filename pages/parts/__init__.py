"""The Streamlit parts that pages share, one noun a module."""
