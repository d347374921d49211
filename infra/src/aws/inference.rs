//! Functions and the HTTP API in front of them.

use crate::core::resources;

resources! {
    /// A function.
    Function = "AWS::Lambda::Function" {
        function_name: "FunctionName" replace,
        description: "Description",
        architectures: "Architectures",
        code: "Code",
        environment: "Environment",
        ephemeral_storage: "EphemeralStorage",
        handler: "Handler",
        image_config: "ImageConfig",
        kms_key_arn: "KmsKeyArn",
        logging_config: "LoggingConfig",
        memory_size: "MemorySize",
        package_type: "PackageType" replace,
        reserved_concurrent_executions: "ReservedConcurrentExecutions",
        role: "Role",
        runtime: "Runtime",
        timeout: "Timeout",
        tracing_config: "TracingConfig",
        tags: "Tags",
    } [arn: "Arn"]

    /// A version of a function.
    FunctionVersion = "AWS::Lambda::Version" {
        function_name: "FunctionName" replace,
        description: "Description" replace,
    } [version: "Version", function_arn: "FunctionArn"]

    /// A name for a version of a function.
    FunctionAlias = "AWS::Lambda::Alias" {
        name: "Name" replace,
        description: "Description",
        function_name: "FunctionName" replace,
        function_version: "FunctionVersion",
        provisioned_concurrency_config: "ProvisionedConcurrencyConfig",
    } [alias_arn: "AliasArn"]

    /// Who may invoke a function.
    Permission = "AWS::Lambda::Permission" {
        action: "Action" replace,
        function_name: "FunctionName" replace,
        principal: "Principal" replace,
        source_account: "SourceAccount" replace,
        source_arn: "SourceArn" replace,
    }

    /// An HTTP API.
    HttpApi = "AWS::ApiGatewayV2::Api" {
        name: "Name",
        description: "Description",
        cors_configuration: "CorsConfiguration",
        disable_execute_api_endpoint: "DisableExecuteApiEndpoint",
        protocol_type: "ProtocolType" replace,
        tags: "Tags",
    } [api_endpoint: "ApiEndpoint", api_id: "ApiId"]

    /// A stage of an API.
    ApiStage = "AWS::ApiGatewayV2::Stage" {
        api_id: "ApiId" replace,
        access_log_settings: "AccessLogSettings",
        auto_deploy: "AutoDeploy",
        default_route_settings: "DefaultRouteSettings",
        description: "Description",
        route_settings: "RouteSettings",
        stage_name: "StageName" replace,
        tags: "Tags",
    }

    /// What an API calls.
    Integration = "AWS::ApiGatewayV2::Integration" {
        api_id: "ApiId" replace,
        credentials_arn: "CredentialsArn",
        description: "Description",
        integration_method: "IntegrationMethod",
        integration_type: "IntegrationType",
        integration_uri: "IntegrationUri",
        payload_format_version: "PayloadFormatVersion",
        timeout_in_millis: "TimeoutInMillis",
    }

    /// A route of an API.
    Route = "AWS::ApiGatewayV2::Route" {
        api_id: "ApiId" replace,
        authorization_scopes: "AuthorizationScopes",
        authorization_type: "AuthorizationType",
        authorizer_id: "AuthorizerId",
        operation_name: "OperationName",
        route_key: "RouteKey",
        target: "Target",
    }

    /// Who may call an API.
    Authorizer = "AWS::ApiGatewayV2::Authorizer" {
        api_id: "ApiId" replace,
        authorizer_type: "AuthorizerType",
        identity_source: "IdentitySource",
        jwt_configuration: "JwtConfiguration",
        name: "Name",
    }
}
