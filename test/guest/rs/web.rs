// A static file server of Rust's standard library: a thread for each connection, keep-alive. io::copy from a file to a
// socket is sendfile(2).
use std::fs::File;
use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

// request reads a request's path, None at the connection's end; whether it is the last one is told by its version.
fn request(input: &mut BufReader<TcpStream>) -> io::Result<Option<(String, bool)>> {
    let mut line = String::new();
    if input.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let path = match (words.next(), words.next()) {
        (Some("GET"), Some(path)) if !path.contains("..") => path.to_string(),
        _ => return Err(io::Error::new(io::ErrorKind::InvalidData, "no GET")),
    };
    let last = words.next() == Some("HTTP/1.0");
    let mut header = String::new();
    while header != "\r\n" {
        header.clear();
        if input.read_line(&mut header)? == 0 {
            return Ok(None);
        }
    }
    Ok(Some((path, last)))
}

fn serve(root: &str, mut output: TcpStream) -> io::Result<()> {
    let mut input = BufReader::new(output.try_clone()?);
    while let Some((path, last)) = request(&mut input)? {
        let path = if path == "/" { "/index.html".to_string() } else { path };
        match File::open(root.to_string() + &path) {
            Ok(mut file) => {
                write!(output, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", file.metadata()?.len())?;
                io::copy(&mut file, &mut output)?;
            }
            Err(_) => write!(output, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")?,
        }
        if last {
            break;
        }
    }
    Ok(())
}

fn main() -> io::Result<()> {
    let args: Vec<String> = std::env::args().collect();
    let (port, root) = (&args[1], args[2].clone());
    let listener = TcpListener::bind(format!("[::]:{}", port))?;
    for connection in listener.incoming() {
        let (root, connection) = (root.clone(), connection?);
        connection.set_nodelay(true)?;
        thread::spawn(move || {
            let _ = serve(&root, connection); // who goes away in the middle is nobody's fault
        });
    }
    Ok(())
}
