//! The keeper's side of its one connection: the newest agent's.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;

use rustix::event::epoll::{self, EventData, EventFlags};

use super::{Keeper, Leaving, TOKEN_CONNECTION};
use crate::complaints::complain;
use crate::protocol::{FrameBuffer, FromKeeper, ToKeeper, write_frame};

/// Reports that an agent does not fetch. When there are more, it is hung up on: when it comes back it gets
/// the list of all that is held, which says the same.
const OUT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Reads before guardians get their turn again.
const READS_MAX: usize = 4;

/// An accepted agent.
#[derive(Debug)]
pub(super) struct Connection {
    stream: UnixStream,
    inbox: FrameBuffer,
    out: Vec<u8>,
    written: usize,
    waits_for_room: bool,
}

impl Keeper {
    /// A new agent replaces the one before: there is one server per folder, and this is the living one.
    pub(super) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            match self.admit(stream) {
                Ok(connection) => self.connection = Some(connection),
                Err(error) => complain(&format!("a connection was refused: {error}")),
            }
        }
    }

    fn admit(&mut self, stream: UnixStream) -> io::Result<Connection> {
        let peer = rustix::net::sockopt::socket_peercred(stream.as_fd())?;
        if peer.uid != rustix::process::getuid() && !peer.uid.is_root() {
            return Err(io::Error::new(io::ErrorKind::PermissionDenied, "it comes from another user"));
        }
        stream.set_nonblocking(true)?;
        self.connection = None;
        epoll::add(&self.epoll, &stream, EventData::new_u64(TOKEN_CONNECTION), EventFlags::IN)?;
        let inbox = FrameBuffer::default();
        Ok(Connection { stream, inbox, out: Vec::new(), written: 0, waits_for_room: false })
    }

    pub(super) fn read_connection(&mut self) {
        for _ in 0..READS_MAX {
            let Some(connection) = &mut self.connection else { return };
            match connection.inbox.read_from(&connection.stream) {
                Ok(0) => return self.hang_up(),
                Ok(_) => {
                    if let Err(error) = self.obey_all() {
                        complain(&format!("the agent does not make sense: {error}"));
                        return self.hang_up();
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.hang_up(),
            }
        }
    }

    fn obey_all(&mut self) -> io::Result<()> {
        while let Some(connection) = &mut self.connection
            && let Some(message) = connection.inbox.next::<ToKeeper>()?
        {
            self.obey(message);
            if self.leaving == Some(Leaving::Now) {
                return Ok(());
            }
            // What was started while a long row of orders is read is heard of before the row ends.
            self.read_hints();
            self.flush_connection();
        }
        Ok(())
    }

    fn hang_up(&mut self) {
        self.connection = None;
    }

    /// Queues a message; without an agent it is not needed, since the next one gets the whole list.
    pub(super) fn send(&mut self, message: &FromKeeper) {
        let Some(connection) = &mut self.connection else { return };
        if let Err(error) = write_frame(&mut connection.out, message) {
            complain(&format!("a report could not be written: {error}"));
        }
        if connection.out.len() > OUT_BYTES_MAX {
            complain("the agent does not fetch its reports");
            self.hang_up();
        }
    }

    /// Writes what waits, as far as the socket takes it.
    pub(super) fn flush_connection(&mut self) {
        let Some(connection) = &mut self.connection else { return };
        while connection.written < connection.out.len() {
            match connection.stream.write(&connection.out[connection.written..]) {
                Ok(count) => connection.written += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return self.hang_up(),
            }
        }
        let waits = connection.written < connection.out.len();
        if !waits {
            connection.out.clear();
            connection.written = 0;
        }
        if waits != std::mem::replace(&mut connection.waits_for_room, waits) {
            let flags = if waits { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
            let token = EventData::new_u64(TOKEN_CONNECTION);
            if epoll::modify(&self.epoll, &connection.stream, token, flags).is_err() {
                self.hang_up();
            }
        }
    }
}
