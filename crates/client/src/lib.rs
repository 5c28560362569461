//! Typed HTTP client for the FastGPU API.
