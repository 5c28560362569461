//! Numbers of the driver's interface, by its own names. Those that one family of calls alone needs stand with it.

// Attributes of devices.
pub(crate) const CU_DEVICE_ATTRIBUTE_CLOCK_RATE: i32 = 13;
pub(crate) const CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: i32 = 16;
pub(crate) const CU_DEVICE_ATTRIBUTE_COMPUTE_MODE: i32 = 20;
pub(crate) const CU_DEVICE_ATTRIBUTE_ECC_ENABLED: i32 = 32;
pub(crate) const CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: i32 = 33;
pub(crate) const CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID: i32 = 34;
pub(crate) const CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: i32 = 36;
pub(crate) const CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH: i32 = 37;
pub(crate) const CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE: i32 = 38;
pub(crate) const CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_MULTIPROCESSOR: i32 = 39;
pub(crate) const CU_DEVICE_ATTRIBUTE_ASYNC_ENGINE_COUNT: i32 = 40;
pub(crate) const CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID: i32 = 50;
pub(crate) const CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: i32 = 75;
pub(crate) const CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: i32 = 76;
pub(crate) const CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_MULTIPROCESSOR: i32 = 81;
pub(crate) const CU_DEVICE_ATTRIBUTE_SINGLE_TO_DOUBLE_PRECISION_PERF_RATIO: i32 = 87;
pub(crate) const CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: i32 = 97;
pub(crate) const CU_DEVICE_ATTRIBUTE_MAX_BLOCKS_PER_MULTIPROCESSOR: i32 = 106;
pub(crate) const CU_DEVICE_ATTRIBUTE_MAX_PERSISTING_L2_CACHE_SIZE: i32 = 108;
pub(crate) const CU_DEVICE_ATTRIBUTE_MAX_ACCESS_POLICY_WINDOW_SIZE: i32 = 109;
pub(crate) const CU_DEVICE_ATTRIBUTE_RESERVED_SHARED_MEMORY_PER_BLOCK: i32 = 111;
pub(crate) const CU_DEVICE_ATTRIBUTE_CLUSTER_LAUNCH: i32 = 120;
pub(crate) const CU_DEVICE_ATTRIBUTE_MEM_SYNC_DOMAIN_COUNT: i32 = 126;
pub(crate) const CU_DEVICE_ATTRIBUTE_TENSOR_MAP_ACCESS_SUPPORTED: i32 = 127;
pub(crate) const CU_DEVICE_ATTRIBUTE_GPU_PCI_DEVICE_ID: i32 = 139;
pub(crate) const CU_DEVICE_ATTRIBUTE_GPU_PCI_SUBSYSTEM_ID: i32 = 140;

// Attributes of addresses.
pub(crate) const CU_POINTER_ATTRIBUTE_CONTEXT: u32 = 1;
pub(crate) const CU_POINTER_ATTRIBUTE_MEMORY_TYPE: u32 = 2;
pub(crate) const CU_POINTER_ATTRIBUTE_DEVICE_POINTER: u32 = 3;
pub(crate) const CU_POINTER_ATTRIBUTE_HOST_POINTER: u32 = 4;
pub(crate) const CU_POINTER_ATTRIBUTE_P2P_TOKENS: u32 = 5;
pub(crate) const CU_POINTER_ATTRIBUTE_SYNC_MEMOPS: u32 = 6;
pub(crate) const CU_POINTER_ATTRIBUTE_BUFFER_ID: u32 = 7;
pub(crate) const CU_POINTER_ATTRIBUTE_IS_MANAGED: u32 = 8;
pub(crate) const CU_POINTER_ATTRIBUTE_DEVICE_ORDINAL: u32 = 9;
pub(crate) const CU_POINTER_ATTRIBUTE_IS_LEGACY_CUDA_IPC_CAPABLE: u32 = 10;
pub(crate) const CU_POINTER_ATTRIBUTE_RANGE_START_ADDR: u32 = 11;
pub(crate) const CU_POINTER_ATTRIBUTE_RANGE_SIZE: u32 = 12;
pub(crate) const CU_POINTER_ATTRIBUTE_MAPPED: u32 = 13;
pub(crate) const CU_POINTER_ATTRIBUTE_ALLOWED_HANDLE_TYPES: u32 = 14;
pub(crate) const CU_POINTER_ATTRIBUTE_IS_GPU_DIRECT_RDMA_CAPABLE: u32 = 15;
pub(crate) const CU_POINTER_ATTRIBUTE_ACCESS_FLAGS: u32 = 16;
pub(crate) const CU_POINTER_ATTRIBUTE_MEMPOOL_HANDLE: u32 = 17;
pub(crate) const CU_POINTER_ATTRIBUTE_MAPPING_SIZE: u32 = 18;
pub(crate) const CU_POINTER_ATTRIBUTE_MAPPING_BASE_ADDR: u32 = 19;
pub(crate) const CU_POINTER_ATTRIBUTE_MEMORY_BLOCK_ID: u32 = 20;
pub(crate) const CU_POINTER_ATTRIBUTE_IS_HW_DECOMPRESS_CAPABLE: u32 = 21;

// Kinds of memory.
pub(crate) const CU_MEMORYTYPE_HOST: u32 = 1;
pub(crate) const CU_MEMORYTYPE_DEVICE: u32 = 2;
pub(crate) const CU_MEMORYTYPE_ARRAY: u32 = 3;
pub(crate) const CU_MEMORYTYPE_UNIFIED: u32 = 4;

// Attributes of ranges of managed memory.
pub(crate) const CU_MEM_RANGE_ATTRIBUTE_READ_MOSTLY: u32 = 1;
pub(crate) const CU_MEM_RANGE_ATTRIBUTE_PREFERRED_LOCATION: u32 = 2;
pub(crate) const CU_MEM_RANGE_ATTRIBUTE_LAST_PREFETCH_LOCATION: u32 = 4;

// Attributes of pools.
pub(crate) const CU_MEMPOOL_ATTR_REUSE_FOLLOW_EVENT_DEPENDENCIES: u32 = 1;
pub(crate) const CU_MEMPOOL_ATTR_REUSE_ALLOW_INTERNAL_DEPENDENCIES: u32 = 3;
pub(crate) const CU_MEMPOOL_ATTR_RELEASE_THRESHOLD: u32 = 4;
pub(crate) const CU_MEMPOOL_ATTR_RESERVED_MEM_CURRENT: u32 = 5;
pub(crate) const CU_MEMPOOL_ATTR_RESERVED_MEM_HIGH: u32 = 6;
pub(crate) const CU_MEMPOOL_ATTR_USED_MEM_CURRENT: u32 = 7;
pub(crate) const CU_MEMPOOL_ATTR_USED_MEM_HIGH: u32 = 8;

// Kinds of nodes.
pub(crate) const CU_GRAPH_NODE_TYPE_KERNEL: u32 = 0;
pub(crate) const CU_GRAPH_NODE_TYPE_MEMCPY: u32 = 1;
pub(crate) const CU_GRAPH_NODE_TYPE_MEMSET: u32 = 2;
pub(crate) const CU_GRAPH_NODE_TYPE_HOST: u32 = 3;
pub(crate) const CU_GRAPH_NODE_TYPE_GRAPH: u32 = 4;
pub(crate) const CU_GRAPH_NODE_TYPE_EMPTY: u32 = 5;
pub(crate) const CU_GRAPH_NODE_TYPE_WAIT_EVENT: u32 = 6;
pub(crate) const CU_GRAPH_NODE_TYPE_EVENT_RECORD: u32 = 7;
pub(crate) const CU_GRAPH_NODE_TYPE_EXT_SEMAS_SIGNAL: u32 = 8;
pub(crate) const CU_GRAPH_NODE_TYPE_EXT_SEMAS_WAIT: u32 = 9;
pub(crate) const CU_GRAPH_NODE_TYPE_MEM_ALLOC: u32 = 10;
pub(crate) const CU_GRAPH_NODE_TYPE_MEM_FREE: u32 = 11;
pub(crate) const CU_GRAPH_NODE_TYPE_BATCH_MEM_OP: u32 = 12;
pub(crate) const CU_GRAPH_NODE_TYPE_CONDITIONAL: u32 = 13;

// Attributes of functions.
pub(crate) const CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK: u32 = 0;
pub(crate) const CU_FUNC_ATTRIBUTE_NUM_REGS: u32 = 4;
pub(crate) const CU_FUNC_ATTRIBUTE_PTX_VERSION: u32 = 5;
pub(crate) const CU_FUNC_ATTRIBUTE_BINARY_VERSION: u32 = 6;
pub(crate) const CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: u32 = 8;
pub(crate) const CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT: u32 = 9;

// What a recording forbids.
pub(crate) const CU_STREAM_CAPTURE_MODE_GLOBAL: u32 = 0;
pub(crate) const CU_STREAM_CAPTURE_MODE_THREAD_LOCAL: u32 = 1;
pub(crate) const CU_STREAM_CAPTURE_MODE_RELAXED: u32 = 2;

// How a word in memory is compared.
pub(crate) const CU_STREAM_WAIT_VALUE_GEQ: u32 = 0;
pub(crate) const CU_STREAM_WAIT_VALUE_EQ: u32 = 1;
pub(crate) const CU_STREAM_WAIT_VALUE_AND: u32 = 2;
