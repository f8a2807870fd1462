package main

import (
	"context"
	"io"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	servePlugin = "serve-plugin"
	echoService = "berth.bench.Echo"
	echoMethod  = "/" + echoService + "/Echo"
)

var handshake = plugin.HandshakeConfig{ProtocolVersion: 1, MagicCookieKey: "BERTH_BENCH_PLUGIN", MagicCookieValue: "echo"}

// echoPlugin is the equivalent of the echo module: bytes there and back, in one unary call.
type echoPlugin struct{ plugin.NetRPCUnsupportedPlugin }

func (echoPlugin) GRPCServer(_ *plugin.GRPCBroker, server *grpc.Server) error {
	server.RegisterService(&grpc.ServiceDesc{
		ServiceName: echoService,
		HandlerType: (*any)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Echo", Handler: handleEcho}},
	}, struct{}{})
	return nil
}

func handleEcho(_ any, _ context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) {
	message := new(wrapperspb.BytesValue)
	err := decode(message)
	return message, err
}

func (echoPlugin) GRPCClient(_ context.Context, _ *plugin.GRPCBroker, connection *grpc.ClientConn) (any, error) {
	return connection, nil
}

func pluginMain() {
	plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: handshake,
		Plugins:         plugin.PluginSet{"echo": echoPlugin{}},
		GRPCServer:      plugin.DefaultGRPCServer,
		Logger:          hclog.New(&hclog.LoggerOptions{Output: io.Discard}),
	})
}

func pluginSubjects() ([]subject, func(), error) {
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  handshake,
		Plugins:          plugin.PluginSet{"echo": echoPlugin{}},
		Cmd:              self(servePlugin),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger:           hclog.New(&hclog.LoggerOptions{Output: io.Discard}),
	})
	protocol, err := client.Client()
	if err != nil {
		return nil, client.Kill, err
	}
	dispensed, err := protocol.Dispense("echo")
	if err != nil {
		return nil, client.Kill, err
	}
	connection := dispensed.(*grpc.ClientConn)
	newCaller := func() (func([]byte) error, error) {
		return func(payload []byte) error {
			reply := new(wrapperspb.BytesValue)
			err := connection.Invoke(context.Background(), echoMethod, wrapperspb.Bytes(payload), reply)
			return whole(reply.GetValue(), payload, err)
		}, nil
	}
	return []subject{{name: "hashicorp/go-plugin, gRPC", newCaller: newCaller, concurrent: true, pausing: true}}, client.Kill, nil
}
