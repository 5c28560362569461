//! The driver's private tables: there are none here, and asking for one is refused as for an unknown id.
//!
//! NVIDIA's own CUDA runtime starts from such tables, one of which vouches that the driver is NVIDIA's. This
//! one is not, and does not say so: programs on that runtime are refused in order.

use crate::abi::{CUresult, Code, In, Out};
use crate::call::bare;
use crate::process;

/// Ids that NVIDIA's driver knows; asking for one is counted.
const KNOWN: [u128; 10] = [
    0xf8cf_f951_2146_8b4e_b9e2_fb46_9e7c_0dd9,
    0x6bd5_fb6c_5bf4_e74a_8987_d939_12fd_9df9,
    0xa094_798c_2e74_2e74_93f2_0800_200c_0a66,
    0x42d8_5a81_23f6_cb47_8298_f6e7_8a3a_ecdc,
    0xc693_336e_1121_df11_a8c3_68f3_55d8_9593,
    0x263e_8860_7cd2_6143_92f6_bbd5_006d_fa7e,
    0xd408_2055_bde6_704b_8d34_ba12_3c66_e1f2,
    0x2131_8c60_9714_3248_8ca6_41ff_7324_c8f2,
    0x69a2_8e9f_2449_8b47_b030_c5da_330e_a4e9,
    0xda91_51d3_3ae6_cc41_a5c0_4f26_d533_e328,
];

#[unsafe(no_mangle)]
pub(crate) extern "C" fn cuGetExportTable(table: Out<*const ()>, id: In<[u8; 16]>) -> CUresult {
    bare(|| {
        let id = u128::from_be_bytes(id.get()?);
        table.set_if_wanted(std::ptr::null());
        if let (true, Ok(process)) = (KNOWN.contains(&id), process::initialised()) {
            process.ledger.count_unsupported("cuGetExportTable");
        }
        Err(Code::INVALID_VALUE)
    })
}
