//! The end of a context, with everything in it.

use fastgpu_softgpu::ledger::layout::Class;

use crate::abi::{Code, Done};
use crate::engine::contexts::DRIVER_BYTES;
use crate::handle::ContextHandle;
use crate::process::Process;
use crate::state::State;

impl Process {
    /// Waits for what a context still does, and lets a runtime part with what it keeps there.
    pub(crate) fn finish_context(&self, context: ContextHandle) {
        // One that failed has nothing to wait for.
        let _ = self.wait_context(context);
        self.wait_until_still(context);
        let kept = self.state().contexts.get_mut(context).map(|found| std::mem::take(&mut found.keepsakes));
        for (key, keepsake) in kept.unwrap_or_default() {
            if let Some(leave) = keepsake.leave {
                leave(context, key, keepsake.value);
            }
        }
    }
}

impl State {
    /// Ends a context with everything in it. The caller has waited for it, or it has failed.
    pub(crate) fn destroy_context(&mut self, process: &Process, handle: ContextHandle) -> Done {
        let code_bytes = self.contexts.get(handle)?.code_bytes;
        for green in self.greens_of(handle) {
            let ordinal = self.contexts.get(handle)?.ordinal;
            self.end_green(process, green)?;
            // Nobody can let go of the primary context on its behalf any more.
            let primary = &mut self.primaries[ordinal.cast_unsigned() as usize];
            primary.retained = primary.retained.saturating_sub(1);
        }
        self.free_all_of(process, handle);
        for mipmap in self.mipmaps.handles(|mipmap| mipmap.context == handle) {
            self.destroy_mipmap(process, mipmap)?;
        }
        for texture in self.textures.handles(|texture| texture.context == handle) {
            self.textures.remove(texture)?;
        }
        for array in self.arrays.handles(|array| array.context == handle && array.bytes > 0) {
            self.destroy_array(process, array)?;
        }
        for module in self.modules.handles(|module| module.context == handle) {
            self.unload_module(module)?;
        }
        for library in self.libraries.handles(|library| library.modules.contains_key(&handle)) {
            self.libraries.get_mut(library)?.modules.remove(&handle);
        }
        for event in self.events.handles(|event| event.context == handle) {
            self.remove_event(process, event)?;
        }
        let context = match self.contexts.get(handle)?.primary {
            true => self.contexts.lift(handle).ok_or(Code::INVALID_CONTEXT)?,
            false => self.contexts.remove(handle)?,
        };
        for stream in context.streams {
            self.empty_stream(stream);
            let _ = self.streams.remove(stream);
        }
        self.settle(process, true);
        process.device(context.ordinal)?.schedule.close(context.slot);
        process.release(context.ordinal, Class::Module, code_bytes);
        process.release(context.ordinal, Class::Context, context.own_bytes);
        process.release(context.ordinal, Class::Driver, DRIVER_BYTES);
        Ok(())
    }

    /// Ends a primary context, whoever retains it.
    pub(crate) fn end_primary(&mut self, process: &Process, ordinal: i32) -> Done {
        process.index_of(ordinal)?;
        let primary = &mut self.primaries[ordinal.cast_unsigned() as usize];
        let Some(context) = primary.context.take() else { return Ok(()) };
        self.destroy_context(process, context)
    }
}
