package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"time"
)

const serveSocket = "serve-socket"

// socketMain echoes messages of the payload's size on every connection, until its standard input ends.
func socketMain(path string) {
	listener, err := net.Listen("unix", path)
	if err != nil {
		os.Exit(1)
	}
	go func() {
		for {
			connection, err := listener.Accept()
			if err != nil {
				return
			}
			go echoMessages(connection)
		}
	}()
	io.Copy(io.Discard, os.Stdin)
}

func echoMessages(connection net.Conn) {
	defer connection.Close()
	message := make([]byte, payloadSize)
	for {
		if _, err := io.ReadFull(connection, message); err != nil {
			return
		}
		if _, err := connection.Write(message); err != nil {
			return
		}
	}
}

func socketSubjects() ([]subject, func(), error) {
	folder, err := os.MkdirTemp("", "berth-bench-")
	if err != nil {
		return nil, func() {}, err
	}
	path := filepath.Join(folder, "echo.sock")
	server := self(serveSocket, path)
	stdin, err := server.StdinPipe()
	if err == nil {
		err = server.Start()
	}
	stop := func() {
		if server.Process != nil {
			stdin.Close()
			server.Wait()
		}
		os.RemoveAll(folder)
	}
	if err != nil {
		return nil, stop, err
	}
	newCaller := func() (func([]byte) error, error) {
		connection, err := dialSocket(path)
		if err != nil {
			return nil, err
		}
		reply := make([]byte, payloadSize)
		return func(payload []byte) error {
			if _, err := connection.Write(payload); err != nil {
				return err
			}
			_, err := io.ReadFull(connection, reply)
			return err
		}, nil
	}
	return []subject{{name: "unix socket, a connection each", newCaller: newCaller, concurrent: true, pausing: true}}, stop, nil
}

func dialSocket(path string) (connection net.Conn, err error) {
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if connection, err = net.Dial("unix", path); err == nil {
			return connection, nil
		}
	}
	return nil, err
}
